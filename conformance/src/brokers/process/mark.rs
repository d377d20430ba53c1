//! What belongs to one broker: whatever has its mark in the environment, or writes to its log.
//!
//! A broker is more than one process, and some of them detach themselves (Erlang's port mapper does), so neither
//! the process tree nor the session has them all. The environment is inherited whatever they do; but PostgreSQL's
//! processes write their titles over it. Their output still goes to the log.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::ProcessId;

/// The environment variable that carries the mark.
pub(crate) const MARK: &str = "ANYBROKER_BROKER";

/// All living processes that carry this mark, or whose output this log is.
pub(crate) fn belonging(mark: &str, log: &Path) -> Vec<ProcessId> {
    let (entry, log) = (format!("{MARK}={mark}"), fs::metadata(log).ok());
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter_map(ProcessId::of)
        .filter(|process| carries(process, &entry) || writes(process, log.as_ref()))
        .filter(ProcessId::alive)
        .collect()
}

fn carries(process: &ProcessId, entry: &str) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
}

fn writes(process: &ProcessId, log: Option<&Metadata>) -> bool {
    let output = log.and_then(|_| fs::metadata(format!("/proc/{}/fd/1", process.pid)).ok());
    let file = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    output.is_some_and(|output| log.map(file) == Some(file(&output)))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, process::Command};

    use rustix::process::Signal;

    use super::*;

    #[test]
    fn a_process_without_its_environment_is_found_by_its_output() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("broker.log");
        let mut child = Command::new("sleep").arg("60").stdout(File::create(&log).unwrap()).spawn().unwrap();
        let found = belonging("another's", &log);
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [child.id()]);
        found[0].signal(Signal::KILL);
        child.wait().unwrap();
        assert!(belonging("another's", &log).is_empty());
        assert!(belonging("another's", &folder.path().join("no.log")).is_empty());
    }

    #[test]
    fn a_detached_grandchild_is_found_by_its_mark() {
        let mark = format!("test of {}", std::process::id());
        let script = "setsid sleep 60 </dev/null >/dev/null 2>&1 & exec sleep 60";
        let no_log = Path::new("/no/such.log");
        let marked = |mark: &str| belonging(mark, no_log);
        let mut child = Command::new("sh").args(["-c", script]).env(MARK, &mark).spawn().unwrap();
        while marked(&mark).len() < 2 {
            std::thread::yield_now();
        }
        assert!(marked(&format!("{mark} of another")).is_empty());
        for process in marked(&mark) {
            process.signal(Signal::KILL);
        }
        child.wait().unwrap();
        while !marked(&mark).is_empty() {
            std::thread::yield_now();
        }
    }
}
