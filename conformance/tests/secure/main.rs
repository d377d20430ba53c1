//! Secure connections to the real servers: encryption, logins, and what is refused with which words.
//! `cargo test --test secure -- kafka` runs one broker's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod amazon;
mod cases;
mod child;
mod endpoint;
mod impostor;
mod kafka;
mod nats;
mod one_provider;
mod pulsar;
mod rabbitmq;
mod redaction;
mod secrets;
mod targets;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use targets::Target;

/// What a case comes to; the text says what does not hold.
type Outcome = Result<(), String>;
type Run = Arc<dyn Fn(Arc<Target>) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// One case on one broker.
struct Case {
    name: &'static str,
    run: Run,
}

/// A case from an async function.
fn case<F>(name: &'static str, run: impl Fn(Arc<Target>) -> F + Send + Sync + 'static) -> Case
where
    F: Future<Output = Outcome> + Send + 'static,
{
    Case { name, run: Arc::new(move |target| Box::pin(run(target))) }
}

/// How long a case may take before it counts as hung.
const CASE: Duration = Duration::from_secs(120);

fn main() {
    if let Some(ended) = child::role() {
        std::process::exit(ended);
    }
    let arguments = Arguments::from_args();
    let mut trials = redaction::trials();
    trials.extend(one_provider::trials());
    for (process, cases) in [
        ("kafka", kafka::cases()),
        ("rabbitmq", rabbitmq::cases()),
        ("rabbitmq4", rabbitmq::cases()),
        ("nats", nats::cases()),
        ("elasticmq", amazon::cases()),
        ("pulsar", pulsar::cases()),
    ] {
        let target = Arc::new(Target::find(process));
        trials.extend(cases.into_iter().map(|case| trial(target.clone(), case)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(target: Arc<Target>, case: Case) -> Trial {
    let name = format!("{}::{}", target.name, case.name);
    let excluded = target.excluded();
    let trial = Trial::test(name, move || {
        if let Some(missing) = &target.missing {
            return Err(Failed::from(missing));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let outcome = runtime.block_on(async {
            let bounded = tokio::time::timeout(CASE, (case.run)(target)).await;
            bounded.unwrap_or_else(|_| Err(format!("hangs; given up after {CASE:?}")))
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
        Ok(outcome?)
    });
    trial.with_ignored_flag(excluded)
}
