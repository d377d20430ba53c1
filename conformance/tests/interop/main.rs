//! Ordinary Python clients read what anybroker writes, and anybroker what they write, on the real servers.
//! `cargo test --test interop -- kafka` runs one broker's. The programs in `python/` are examples for users, which
//! `docs/interoperability.md` quotes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod document;
mod events;
mod kafka;
mod letter;
mod messages;
mod nats;
mod python;
mod rabbitmq;
mod sqs;
mod stage;
mod target;

use std::sync::Mutex;
use std::time::Duration;

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use python::Python;
use stage::Stage;
use target::Target;

type Failure = Box<dyn std::error::Error + Send + Sync>;
/// What was seen, or why a case failed.
type Outcome = Result<String, Failure>;
type Case = for<'a> fn(&'a Stage) -> BoxFuture<'a, Outcome>;

/// How long a case may take before it counts as hung.
const CASE: Duration = Duration::from_secs(180);

static FINDINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() {
    let arguments = Arguments::from_args();
    let mut trials =
        vec![Trial::test("document::quotes_the_programs", || Ok(document::quotes_the_programs()?))];
    for target in target::all() {
        // Asked once: a server that is busy with the cases may say of itself that it is not well.
        let url = if arguments.list { Ok(String::new()) } else { target.running() };
        for (name, case) in SHARED.iter().chain(target.own) {
            trials.push(trial(target.clone(), url.clone(), name, *case));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        println!("findings:");
        let mut findings = FINDINGS.lock().unwrap();
        findings.sort();
        findings.iter().for_each(|finding| println!("  {finding}"));
    }
    conclusion.exit();
}

/// What every broker must show.
const SHARED: &[(&str, Case)] = &[
    ("messages_to_python", |stage| Box::pin(messages::to_python(stage))),
    ("messages_from_python", |stage| Box::pin(messages::from_python(stage))),
    ("messages_from_python_to_dead_letters", |stage| Box::pin(messages::to_dead_letters(stage))),
    ("events_to_python", |stage| Box::pin(events::to_python(stage))),
    ("events_from_python", |stage| Box::pin(events::from_python(stage))),
    ("events_from_python_to_dead_letters", |stage| Box::pin(events::to_dead_letters(stage))),
];

fn trial(target: Target, url: Result<String, String>, name: &'static str, case: Case) -> Trial {
    let full = format!("{}::{name}", target.name);
    Trial::test(full.clone(), move || {
        if let Some(reason) = target.excluded() {
            FINDINGS.lock().unwrap().push(format!("{full}: not run: {reason}"));
            return Ok(());
        }
        let python = Python::ready()?;
        let url = url?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let ended = runtime.block_on(async {
            let run = async {
                let stage = Stage::open(target, &url, python, name).await?;
                let seen = case(&stage).await?;
                stage.tidy().await?;
                Ok::<_, Failure>(seen)
            };
            tokio::time::timeout(CASE, run)
                .await
                .map_err(|_| Failed::from(format!("hangs; given up after {CASE:?}")))
        })?;
        runtime.shutdown_timeout(Duration::from_secs(5));
        let seen = ended.map_err(|error| Failed::from(error.to_string()))?;
        FINDINGS.lock().unwrap().push(format!("{full}: holds: {seen}"));
        Ok(())
    })
}
