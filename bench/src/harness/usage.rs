//! What the process has used up to now.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use super::allocations;
use super::broker_cpu::BrokerCpu;
use super::figures::Figures;

/// A moment, with what had been used by then.
pub(super) struct Mark {
    at: Instant,
    cpu: f64,
    broker: Option<f64>,
    allocations: (u64, u64),
}

impl Mark {
    pub(super) fn now(broker: &BrokerCpu) -> Self {
        let (cpu, _) = used();
        Mark { broker: broker.seconds(), allocations: allocations::so_far(), cpu, at: Instant::now() }
    }

    /// What `messages` since then have cost.
    pub(super) fn figures(&self, messages: u64, broker: &BrokerCpu) -> Figures {
        let seconds = self.at.elapsed().as_secs_f64();
        let (cpu, peak_bytes) = used();
        let allocations = allocations::so_far();
        Figures {
            messages,
            seconds,
            cpu_seconds: cpu - self.cpu,
            broker_cpu_seconds: broker.seconds().zip(self.broker).map(|(now, then)| now - then),
            allocations: allocations.0 - self.allocations.0,
            allocated_bytes: allocations.1 - self.allocations.1,
            peak_bytes,
            latency: None,
        }
    }
}

/// Processor seconds of this process with all its threads, and the most memory that it has had.
fn used() -> (f64, u64) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    (cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9, kib.unwrap_or(0u64) * 1024)
}
