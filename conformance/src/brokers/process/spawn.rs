//! Starting a process that outlives this one.

use std::{
    fs::{self, File},
    io,
    path::Path,
    process::{Command, Stdio},
};

use super::{MARK, ProcessId};
use crate::brokers::Error;

/// Starts `command` in a session of its own, so that closing the terminal does not end it, with its output in
/// `log`. The log of the start before is kept beside it.
///
/// `setsid` replaces itself with the command, so the process returned is the command's.
pub(crate) fn spawn(command: &Command, mark: &str, log: &Path) -> Result<ProcessId, Error> {
    let output = fresh(log).map_err(Error::file("write", log))?;
    let errors = output.try_clone().map_err(Error::file("write", log))?;
    let mut detached = tokio::process::Command::new("setsid");
    detached.arg(command.get_program()).args(command.get_args()).env(MARK, mark);
    detached.stdin(Stdio::null()).stdout(output).stderr(errors);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => detached.env(name, value),
            None => detached.env_remove(name),
        };
    }
    started(&mut detached)
        .map_err(|source| Error::Tool { command: format!("setsid {command:?}"), output: source.to_string() })
}

fn fresh(log: &Path) -> io::Result<File> {
    if log.exists() {
        fs::rename(log, log.with_extension("previous.log"))?;
    }
    File::create(log)
}

/// The start time is read while the child cannot have been collected, so it is the child's.
fn started(command: &mut tokio::process::Command) -> io::Result<ProcessId> {
    let child = command.spawn()?;
    child.id().and_then(ProcessId::of).ok_or_else(|| io::Error::other("it is not in /proc"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::Signal;

    #[tokio::test]
    async fn the_process_recorded_is_the_command_and_the_last_log_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("broker.log");
        fs::write(&log, "before").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ $GREETING; exec sleep 60"]).env("GREETING", "hello");
        let process = spawn(&command, "spawn test", &log).unwrap();
        while !fs::read_to_string(&log).unwrap().ends_with('\n') {
            tokio::task::yield_now().await;
        }
        assert_eq!(fs::read_to_string(&log).unwrap(), format!("{} hello\n", process.pid));
        assert_eq!(fs::read_to_string(folder.path().join("broker.previous.log")).unwrap(), "before");
        assert!(process.signal(Signal::KILL));
        while process.alive() {
            tokio::task::yield_now().await;
        }
    }
}
