//! Runs the built binary.
#![allow(dead_code, reason = "not every test program uses all of it")]

use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// What a run of the command gave.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) out: String,
    /// What it said beside that.
    pub(crate) err: String,
}

impl Ran {
    /// The lines of JSON that it printed.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }
}

/// Runs `anybroker` with `input` as its stdin.
pub(crate) fn anybroker(args: &[&str], input: impl AsRef<[u8]>) -> Ran {
    let mut child = spawn(args);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_ref().to_owned();
    // Beside the reading of what it prints: a pipe holds little. A command that refuses its arguments doesn't read.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let ran = finish(child);
    writer.join().unwrap();
    ran
}

/// The same, with variables of the environment.
pub(crate) fn anybroker_in(environment: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut child = start(environment, args);
    drop(child.stdin.take());
    finish(child)
}

/// Starts `anybroker`.
pub(crate) fn spawn(args: &[&str]) -> Child {
    start(&[], args)
}

fn start(environment: &[(&str, &str)], args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_anybroker"))
        .args(args)
        // What the tester's own environment names is not meant.
        .env_remove("ANYBROKER_URL")
        .env_remove("ANYBROKER_PROFILE")
        .env_remove("ANYBROKER_LOG")
        .env("ANYBROKER_PROFILES", "/dev/null")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for it.
pub(crate) fn finish(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}
