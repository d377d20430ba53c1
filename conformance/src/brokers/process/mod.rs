//! Processes that outlive the command that started them, found again without ever mistaking another for them.

mod mark;
mod spawn;

use std::fs;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

pub(crate) use mark::{MARK, belonging};
pub(crate) use spawn::spawn;

/// A process, told apart from a later one with the same id by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The system's id.
    pub pid: u32,
    /// When it started, in the system's clock ticks since boot.
    pub start_time: u64,
}

impl ProcessId {
    /// The process that has this id now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self { pid, start_time: stat.start_time })
    }

    /// Whether this very process still runs. One that has ended but was not collected yet does not.
    pub(crate) fn alive(&self) -> bool {
        self.stat().is_some_and(|stat| stat.runs())
    }

    /// Whether this very process is suspended.
    pub(crate) fn stopped(&self) -> bool {
        self.stat().is_some_and(|stat| stat.state == 'T')
    }

    /// Signals this very process; false if it is gone.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.send(signal).is_some()
    }

    /// The handle is opened before the start time is compared, so it is the handle of the process compared.
    #[cfg(target_os = "linux")]
    fn send(&self, signal: Signal) -> Option<()> {
        use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
        let pid = Pid::from_raw(self.pid.try_into().ok()?)?;
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        self.alive().then(|| pidfd_send_signal(handle, signal).ok())?
    }

    #[cfg(not(target_os = "linux"))]
    fn send(&self, _signal: Signal) -> Option<()> {
        None
    }

    fn stat(&self) -> Option<Stat> {
        Stat::read(self.pid).filter(|stat| stat.start_time == self.start_time)
    }
}

/// What `/proc/PID/stat` says that matters here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    threads: u32,
    start_time: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the command in parentheses and may itself contain spaces and parentheses.
    fn parse(line: &str) -> Option<Self> {
        let (_, after_command) = line.rsplit_once(") ")?;
        let mut fields = after_command.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let threads = fields.nth(16)?.parse().ok()?;
        let start_time = fields.nth(1)?.parse().ok()?;
        Some(Self { state, threads, start_time })
    }

    /// The state is the first thread's. While other threads are still on their way out, files and sockets are open.
    fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X') || self.threads > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_and_spaces_is_read_past() {
        let line = "77 (a) b) c) T 1 77 77 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 987654 1 2 3";
        assert_eq!(Stat::parse(line), Some(Stat { state: 'T', threads: 9, start_time: 987_654 }));
        assert_eq!(Stat::parse("77 (cut"), None);
    }

    #[test]
    fn a_process_runs_until_its_last_thread_has_ended() {
        let runs = |state, threads| Stat { state, threads, start_time: 1 }.runs();
        assert!(runs('S', 1) && runs('T', 1) && runs('Z', 2));
        assert!(!runs('Z', 1) && !runs('X', 0));
    }

    #[test]
    fn a_reused_id_is_another_process() {
        let this = ProcessId::of(std::process::id()).unwrap();
        let later = ProcessId { start_time: this.start_time + 1, ..this };
        assert!(this.alive() && !this.stopped());
        assert!(!later.alive());
        assert!(!later.signal(Signal::KILL), "the test itself would be dead");
    }

    #[test]
    fn an_ended_process_that_nobody_collected_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = ProcessId::of(child.id()).unwrap();
        while process.alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
