//! Random workloads: the honest in-memory broker is never accused, and one that lies is found out by few steps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod liar;

use std::sync::Arc;
use std::time::Duration;

use anybroker::Broker;
use anybroker_conformance::cases::Context;
use anybroker_conformance::workload::{Budget, Judged, Possible, Shape, explore, judge};
use liar::{Liar, Lie};

const POSSIBLE: Possible = Possible {
    groups: 3,
    dead_letters: true,
    connections: false,
    processes: false,
    pause: false,
    kill: false,
    windows: true,
};

/// Virtual time costs nothing, and a simulation is the same every time.
const BUDGET: Budget = Budget { runs: 2_000, tries: 1, time: Duration::from_secs(1_000_000) };

/// An in-memory broker of its own, which lies in some way or in none.
async fn context(name: &str, lie: Option<Lie>, seed: u64) -> Context {
    let url = format!("memory://{name}?topology=check&partitions=4");
    let broker = anybroker::connect(&url).await.unwrap();
    Context {
        name: name.to_owned(),
        connect: Arc::new(move || {
            let broker = broker.clone();
            Box::pin(async move {
                Ok(match lie {
                    Some(lie) => Arc::new(Liar::new(broker, lie)) as Broker,
                    None => broker,
                })
            })
        }),
        spawn_member: Err("it lives in this process"),
        faults: Err("it has no process"),
        detour: Err("it has no connection"),
        volatile: None,
        quiet: Duration::from_secs(30),
        seed,
        histories: Default::default(),
        judged_by: None,
    }
}

/// So many messages that 500 of them are checked within seconds.
fn brief() -> Shape {
    Shape { phases: 1..=4, messages: 1..=15, bytes: 100, ..Shape::small(POSSIBLE) }
}

#[test]
fn a_seed_gives_the_same_workload_every_time() {
    let all: Vec<_> = (0..20).map(|seed| Shape::small(POSSIBLE).workload(seed)).collect();
    let again: Vec<_> = (0..20).map(|seed| Shape::small(POSSIBLE).workload(seed)).collect();
    assert_eq!(all, again);
    assert!(all.iter().any(|one| one.steps != all[0].steps));
}

#[test]
fn a_workload_is_data() {
    let workload = Shape::small(POSSIBLE).workload(5);
    let text = serde_json::to_string(&workload).unwrap();
    assert_eq!(serde_json::from_str::<anybroker_conformance::workload::Workload>(&text).unwrap(), workload);
}

/// In virtual time: what waits takes none.
#[tokio::test(start_paused = true)]
async fn the_honest_broker_is_never_accused() {
    let shape = brief();
    let mut acknowledged = 0;
    for seed in 0..500 {
        let context = context(&format!("honest-{seed}"), None, seed).await;
        match judge(&context, &shape.workload(seed)).await {
            Ok(judged) => acknowledged += judged.acknowledged,
            Err(broken) => panic!("seed {seed}:\n{}{}", shape.workload(seed), broken.text),
        }
    }
    assert!(
        acknowledged > 20_000,
        "{acknowledged} messages were acknowledged: the workloads are too small to show much"
    );
}

/// The report of the first seed at which a lie is found out.
async fn found(lie: Lie) -> (u64, String) {
    for seed in 1..50 {
        let context = context(&format!("liar-{lie:?}-{seed}").to_lowercase(), Some(lie), seed).await;
        if let Err(error) = explore(&context, &brief(), Duration::ZERO, BUDGET).await {
            return (seed, error.to_string());
        }
    }
    panic!("{lie:?} was believed 50 times");
}

/// It is found out as breaking the property, by few steps, and its seed finds it again.
async fn is_found(lie: Lie, property: &str, most: usize) {
    let (seed, text) = found(lie).await;
    let named = |text: &str| {
        text.lines().any(|line| line.trim_start().starts_with(property) && line.contains("violation"))
    };
    assert!(named(&text), "{lie:?} is not {property}:\n{text}");
    let steps = text.lines().filter(|line| line.trim_start().split_once(". ").is_some_and(numbered)).count();
    assert!((1..=most).contains(&steps), "{lie:?} takes {steps} steps:\n{text}");
    assert!(text.contains(&format!("ANYBROKER_SEED={seed} cargo test")), "{text}");
    let context = context(&format!("again-{lie:?}").to_lowercase(), Some(lie), seed).await;
    let again = explore(&context, &brief(), Duration::ZERO, BUDGET).await.unwrap_err().to_string();
    assert!(named(&again), "the seed of {lie:?} shows something else:\n{again}");
}

fn numbered((number, _): (&str, &str)) -> bool {
    number.parse::<usize>().is_ok()
}

#[tokio::test(start_paused = true)]
async fn losing_a_message_is_found() {
    is_found(Lie::Loses, "P3", 3).await;
}

#[tokio::test(start_paused = true)]
async fn taking_a_nack_for_an_ack_is_found() {
    is_found(Lie::TakesNackForAck, "P3", 8).await;
}

#[tokio::test(start_paused = true)]
async fn reordering_is_found() {
    is_found(Lie::Reorders, "P7", 3).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_of_an_honest_wrapper() {
    let context = context("wrapped", Some(Lie::Nothing), 1).await;
    let judged: Judged = judge(&context, &Shape::small(POSSIBLE).workload(1)).await.unwrap();
    assert!(judged.confirmed > 0 && judged.acknowledged > 0);
}
