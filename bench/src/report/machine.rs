//! Where it was measured.

use serde::{Deserialize, Serialize};

/// The machine, as far as figures depend on it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub system: String,
    /// Load average of the last minute at the beginning: what else was running.
    pub load: Option<f64>,
}

impl Machine {
    /// In one line.
    pub(super) fn in_words(&self) -> String {
        format!("{}, {} cores, {}", self.processor, self.cores, self.system)
    }

    pub(super) fn this() -> Self {
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            processor: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            system: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()),
        }
    }
}
