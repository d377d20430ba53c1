//! Members of a group in processes of their own: this very program, started again.

use std::process::{ExitCode, Stdio};
use std::sync::Arc;

use super::{Open, Subject, with};
use crate::cases::{Applicable, MEMBER_VARIABLE, SpawnMember, run_member};

/// The environment variable in which a member process is told its broker.
pub const MEMBER_URL: &str = "ANYBROKER_URL";

/// The environment variable in which a member process is told its subject's name.
pub const MEMBER_SUBJECT: &str = "ANYBROKER_CONFORMANCE_SUBJECT";

impl Subject {
    /// Starts members: this very program, told to be one by [`MEMBER_VARIABLE`].
    pub fn spawn_member(&self) -> Applicable<SpawnMember> {
        if !self.shared {
            return Err("the broker lives in one process, and ends with it");
        }
        let impatient = self.server.as_ref().map_or("", |server| &server.impatient);
        let (name, url) = (self.name.clone(), with(self.url.clone(), impatient));
        Ok(Arc::new(move |orders| {
            tokio::process::Command::new(std::env::current_exe()?)
                .env(MEMBER_VARIABLE, orders)
                .env(MEMBER_SUBJECT, &name)
                .env(MEMBER_URL, &url)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
        }))
    }
}

/// If this process was started as a member of a group, is that until it is killed. A program that runs cases calls it
/// before anything else; `open` finds how the subject of that name is opened.
pub fn member(open: impl FnOnce(&str) -> Option<Open>) -> Option<ExitCode> {
    let orders = std::env::var(MEMBER_VARIABLE).ok()?;
    let told = |variable| std::env::var(variable).unwrap_or_default();
    let name = told(MEMBER_SUBJECT);
    let Some(open) = open(&name) else {
        eprintln!("there is no configuration {name}");
        return Some(ExitCode::FAILURE);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime
        .map(|runtime| runtime.block_on(async { run_member(open(told(MEMBER_URL)).await?, &orders).await }));
    eprintln!("the member ended: {ended:?}");
    Some(ExitCode::FAILURE)
}
