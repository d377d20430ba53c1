//! A mark in the environment of everything that belongs to one broker.
//!
//! A broker is more than one process, and some of them detach themselves (Erlang's port mapper does), so neither
//! the process tree nor the session has them all. The environment is inherited whatever they do.

use std::fs;

use super::ProcessId;

/// The environment variable that carries the mark.
pub(crate) const MARK: &str = "ANYBROKER_BROKER";

/// All living processes that carry this mark.
pub(crate) fn marked(mark: &str) -> Vec<ProcessId> {
    let entry = format!("{MARK}={mark}");
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter_map(ProcessId::of)
        .filter(|process| carries(process, &entry) && process.alive())
        .collect()
}

fn carries(process: &ProcessId, entry: &str) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detached_grandchild_is_found_by_its_mark() {
        let mark = format!("test of {}", std::process::id());
        let script = "setsid sleep 60 </dev/null >/dev/null 2>&1 & exec sleep 60";
        let mut child =
            std::process::Command::new("sh").args(["-c", script]).env(MARK, &mark).spawn().unwrap();
        while marked(&mark).len() < 2 {
            std::thread::yield_now();
        }
        assert!(marked(&format!("{mark} of another")).is_empty());
        for process in marked(&mark) {
            process.signal(rustix::process::Signal::KILL);
        }
        child.wait().unwrap();
        while !marked(&mark).is_empty() {
            std::thread::yield_now();
        }
    }
}
