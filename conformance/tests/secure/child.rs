//! This very program as a child with an environment of its own: what comes from variables is tested so.

use std::process::Stdio;

use crate::Outcome;
use crate::{cases, secrets};

const URL: &str = "ANYBROKER_SECURE_CHILD";

/// Runs as a child if it was told to, and says how that ended.
pub(crate) fn role() -> Option<i32> {
    let url = std::env::var(URL).ok()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().ok()?;
    match runtime.block_on(cases::round_trip(&url)) {
        Ok(()) => Some(0),
        Err(why) => {
            println!("{why}");
            Some(1)
        }
    }
}

/// A message goes through in a process with these variables beside this one's.
pub(crate) async fn round_trip(url: &str, variables: &[(&str, &str)]) -> Outcome {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = tokio::process::Command::new(program);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command.env(URL, url).envs(variables.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let ended = command.output().await.map_err(|e| e.to_string())?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    secrets::none_in(&said)?;
    if ended.status.success() { Ok(()) } else { Err(said) }
}
