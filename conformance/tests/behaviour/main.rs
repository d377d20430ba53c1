//! The shared behaviour cases on every backend, on the real servers. `cargo test --test behaviour -- kafka` runs one backend's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod report;
mod targets;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anybroker_conformance::cases::{
    CASES, Case, Context, DISTURBING, Disturbs, Finding, MEMBER_VARIABLE, run_member,
};
use libtest_mimic::{Arguments, Failed, Trial};
use targets::Target;

/// How long a case may take before it counts as hung.
const CASE: Duration = Duration::from_secs(180);

fn main() {
    if let Ok(orders) = std::env::var(MEMBER_VARIABLE) {
        return member(&orders);
    }
    let arguments = Arguments::from_args();
    let targets = targets::all();
    let of = |target: &Arc<Target>, case: &Case| target.runs(case).then(|| trial(target.clone(), *case));
    let beside = targets.iter().flat_map(|target| CASES.iter().filter_map(|case| of(target, case)));
    // By case, so that those that wait for each other's turn on one broker come apart.
    let disturbing = DISTURBING.iter().flat_map(|case| targets.iter().filter_map(|target| of(target, case)));
    let conclusion = libtest_mimic::run(&arguments, beside.chain(disturbing).collect());
    if !arguments.list {
        report::print();
    }
    targets::tidy();
    conclusion.exit();
}

fn trial(target: Arc<Target>, case: Case) -> Trial {
    let name = format!("{}::{}", target.name, case.name);
    Trial::test(name.clone(), move || {
        if let Some(reason) = &target.excluded {
            report::add(&name, format!("not run: {reason}"));
            return Ok(());
        }
        if let Some(missing) = &target.missing {
            return Err(Failed::from(missing));
        }
        let turn = target.turn(case.disturbs);
        let began = Instant::now();
        let finding = match run(&target, case)? {
            Finding::Holds(evidence) => format!("holds: {evidence}"),
            Finding::NotPromised(row) => format!("not promised: {row}"),
            Finding::NotApplicable(reason) => format!("not applicable: {reason}"),
        };
        drop(turn);
        report::add(&name, format!("{finding} ({:.1} s)", began.elapsed().as_secs_f64()));
        Ok(())
    })
}

fn run(target: &Target, case: Case) -> Result<Finding, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let context = Context {
        name: target.name.to_owned(),
        connect: target.connect(),
        spawn_member: target.spawn_member(),
        faults: target.faults(),
        detour: target.detour(),
        volatile: target.volatile,
        quiet: Duration::from_secs(25),
        seed: seed(),
    };
    let finding = runtime.block_on(async {
        let told = format!("{} with seed {}", case.name, context.seed);
        let faults = context.faults.clone();
        let ended = tokio::time::timeout(CASE, (case.run)(context)).await;
        if let (Ok(Err(_)) | Err(_), Disturbs::Broker, Ok(faults)) = (&ended, case.disturbs, faults) {
            // However far it came: those that follow need the broker.
            faults.restart().await.map_err(|error| Failed::from(format!("{told}: {ended:?}; {error}")))?;
        }
        match ended {
            Ok(result) => result.map_err(|error| Failed::from(format!("{told}: {error}"))),
            Err(_) => Err(Failed::from(format!("{told}: hangs; given up after {CASE:?}"))),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    finding
}

/// `ANYBROKER_SEED` repeats a run's random choices.
fn seed() -> u64 {
    let given = std::env::var("ANYBROKER_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| u64::from(std::process::id()))
}

fn member(orders: &str) {
    let url = std::env::var("ANYBROKER_URL").expect("a member is told its broker");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended = runtime.block_on(async { run_member(anybroker::connect(&url).await?, orders).await });
    eprintln!("the member ended: {ended:?}");
    std::process::exit(1);
}
