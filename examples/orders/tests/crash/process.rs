//! The program as a process, and what can be seen of it from outside.

use std::cell::Cell;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

/// How long anything may take. Some brokers wait for a dead member's session before others get its messages.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A folder with the state of one pipeline and what its processes said.
pub(crate) struct Workplace {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    orders: u64,
    started: Cell<u32>,
    began: Instant,
}

impl Workplace {
    /// `environment` chooses broker and database.
    pub(crate) fn new(environment: Vec<(&'static str, String)>, orders: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("orders-crash-").tempdir().unwrap();
        Workplace { folder, environment, orders, started: Cell::new(0), began: Instant::now() }
    }

    /// Says how far the test is, also to whoever finds the folder of one that was ended from outside.
    pub(crate) fn note(&self, text: &str) {
        let text = format!("{:.1} s: {text}", self.began.elapsed().as_secs_f64());
        println!("{text}");
        let mut diary = File::options().create(true).append(true).open(self.file("diary")).unwrap();
        writeln!(diary, "{text}").unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start(&self) -> Process {
        let log = File::options().create(true).append(true).open(self.file("stderr")).unwrap();
        let stdout = self.file(&format!("stdout-{}", self.started.replace(self.started.get() + 1)));
        let out = File::create(&stdout).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
        command.arg(self.orders.to_string()).args(["--format", "json", "--state"]).arg(self.file("state.db"));
        command.env_remove("ANYBROKER_URL").env_remove("DATABASE_URL").env_remove("ORDERS_HTTP");
        command.envs(self.environment.iter().cloned());
        let child = command.stdin(Stdio::null()).stdout(out).stderr(log).spawn().unwrap();
        Process { child, stdout, stderr: self.file("stderr"), state: self.file("state.db") }
    }

    /// What all processes wrote for people.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.file("stderr")).unwrap()
    }

    /// Waits until `process` and those before it have stored more than so many events.
    pub(crate) fn wait_for_events(&self, events: u64, process: &mut Process) {
        let deadline = Instant::now() + PATIENCE;
        while self.events() <= events {
            assert!(process.lives(), "it ended before it was killed: {}", self.said());
            assert!(Instant::now() < deadline, "{events} events were not stored: {}", process.standing());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn events(&self) -> u64 {
        self.ask("SELECT count(*) FROM anybroker_events").unwrap_or(0) as u64
    }

    /// What killed processes left.
    pub(crate) fn look(&self) -> Leftover {
        let under_way = "SELECT count(*) FROM anybroker_sagas WHERE state IN ('running', 'compensating')";
        let ask = |sql| self.ask(sql).unwrap_or(0);
        Leftover {
            lives: ask("SELECT json_extract(state, '$.resumed') + 1 FROM anybroker_run") as u64,
            events: self.events(),
            under_way: ask(under_way) as u64,
            staged: ask("SELECT count(*) FROM anybroker_outbox") as u64,
        }
    }

    /// A number from the state; none while there is no such table yet.
    fn ask(&self, sql: &str) -> Option<i64> {
        ask(&self.file("state.db"), sql).ok()
    }
}

fn ask<T: FromSql>(state: &Path, sql: &str) -> rusqlite::Result<T> {
    let state = Connection::open_with_flags(state, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    state.query_row(sql, [], |row| row.get(0))
}

pub(crate) struct Leftover {
    /// How many processes have worked on the run; one that is killed early enough has not begun to.
    pub(crate) lives: u64,
    pub(crate) events: u64,
    /// Sagas that have begun and not ended.
    pub(crate) under_way: u64,
    /// Messages in the outbox.
    pub(crate) staged: u64,
}

pub(crate) struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    state: PathBuf,
}

impl Process {
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL; false if it had ended before.
    pub(crate) fn kill(mut self) -> bool {
        self.child.kill().unwrap();
        self.child.wait().unwrap().signal() == Some(9)
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.standing());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The report that it prints at its end, for which it must exit with 0.
    pub(crate) fn report(mut self) -> serde_json::Value {
        let status = self.end();
        let printed = std::fs::read_to_string(&self.stdout).unwrap();
        assert!(status.success(), "{status}: {printed}{}", self.said());
        serde_json::from_str(&printed).unwrap()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    /// How far it is, for whoever must find out why it is no further.
    fn standing(&self) -> String {
        let sql = "SELECT state || (SELECT group_concat(state || ' ' || sagas, ', ')
            FROM (SELECT state, count(*) AS sagas FROM anybroker_sagas GROUP BY state)) FROM anybroker_run";
        let standing = ask(&self.state, sql).unwrap_or_else(|error| format!("its database: {error}"));
        format!("{standing}\n{}", self.said())
    }
}

/// A test that fails leaves nothing running.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
