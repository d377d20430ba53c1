//! Other processes: this very program, told to be one.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{consumers_die, publishers_die, several, waking};

const ROLE: &str = "ANYBROKER_SQLITE_ROLE";
const URL: &str = "ANYBROKER_URL";
/// Begins every line that a process tells its parent; the test harness prints others.
const MARK: &str = "> ";

/// The entry of the other processes: does nothing in an ordinary run.
#[test]
fn other_process() {
    let (Ok(role), Ok(url)) = (std::env::var(ROLE), std::env::var(URL)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "publish" => publishers_die::publish_for_ever(&url).await,
            "hold" => consumers_die::hold_some(&url).await,
            "acknowledge" => several::acknowledge_for_ever(&url).await,
            "wait" => waking::tell_when_it_comes(&url).await,
            other => panic!("there is no role {other}"),
        }
    });
}

/// Tells the parent a line, at once.
pub(crate) fn tell(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{line}").and_then(|()| out.flush()).unwrap();
}

pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(role: &str, url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::other_process", "--nocapture"])
            .env(ROLE, role)
            .env(URL, url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Process { child, lines }
    }

    /// What it tells next; none once it has ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        // The harness writes the test's name without an end of line first.
        self.lines.by_ref().map_while(Result::ok).find_map(|line| Some(line.split_once(MARK)?.1.to_owned()))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), signal).unwrap();
    }

    /// SIGKILL; gives what it had told and nobody had read.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.line()).collect()
    }

    pub(crate) fn number(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
