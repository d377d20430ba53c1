//! What one round of one contender has shown.

use serde::{Deserialize, Serialize};

/// A round's figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    pub messages: u64,
    pub seconds: f64,
    /// Processor time of the client's process.
    pub cpu_seconds: f64,
    /// Processor time of the server's process, where it is on this machine.
    pub broker_cpu_seconds: Option<f64>,
    pub allocations: u64,
    pub allocated_bytes: u64,
    /// The most memory that the client's process has had.
    pub peak_bytes: u64,
    pub latency: Option<Latencies>,
}

impl Figures {
    pub fn per_second(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    /// Client CPU, microseconds a message.
    pub fn cpu_per_message(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.messages as f64
    }

    /// Broker CPU, microseconds a message.
    pub fn broker_cpu_per_message(&self) -> Option<f64> {
        self.broker_cpu_seconds.map(|seconds| seconds * 1e6 / self.messages as f64)
    }

    pub fn allocations_per_message(&self) -> f64 {
        self.allocations as f64 / self.messages as f64
    }
}

/// End-to-end latencies at a fixed rate, in microseconds since each message was *due*.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latencies {
    pub rate: u64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}
