//! The worst legal broker: `memory://?like=…&adversary=SEED` is never accused of breaking what it promises, and yet breaks
//! everything that a service may believe beyond that.
//!
//! `ANYBROKER_WORST_SEEDS=10000 cargo test --test worst` runs more seeds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod beliefs;
mod dice;
mod workload;

use std::collections::BTreeMap;

use anybroker::backend::memory::{Deed, Like};
use anybroker_conformance::properties::Verdict;
use beliefs::Belief;

fn seeds() -> u64 {
    std::env::var("ANYBROKER_WORST_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000)
}

/// Runs the seeds; none may be accused, every legal deed must have been done. The beliefs `held` are promised;
/// `open` are neither promised nor in the adversary's hands; all others must have been broken.
fn prove(like: Like, held: &[Belief], open: &[Belief]) {
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    let mut broken: BTreeMap<Belief, u64> = BTreeMap::new();
    let mut evidence: BTreeMap<String, u64> = BTreeMap::new();
    let mut legal = Vec::new();
    let began = std::time::Instant::now();
    for seed in 0..seeds() {
        let run = workload::run(like, seed);
        let report = run.recorder.check().unwrap();
        if report.verdict != Verdict::Pass {
            let path = std::env::temp_dir().join(format!("anybroker-worst-{like}-{seed}.history"));
            run.recorder.save(&path).unwrap();
            panic!("like={like}&adversary={seed}: {report}\nanybroker check {}", path.display());
        }
        for (property, finding) in report.properties.iter().filter(|(_, it)| it.opportunities > 0) {
            *evidence.entry(property.to_string()).or_default() += finding.opportunities;
        }
        legal = run.adversary().legal().to_vec();
        for deed in &legal {
            *done.entry(deed.as_str()).or_default() += run.adversary().done(*deed);
        }
        for (belief, times) in &run.beliefs.broken {
            *broken.entry(*belief).or_default() += times;
        }
    }
    println!(
        "{like}: {} seeds in {:.1?}; {done:?}; broken {broken:?}; {evidence:?}",
        seeds(),
        began.elapsed()
    );
    // Nothing of this workload is a transaction.
    let commits = [Deed::CommitRefused, Deed::CommitLost, Deed::CommitAnswerLost];
    for deed in legal.into_iter().filter(|deed| !commits.contains(deed)) {
        let times = done.get(deed.as_str()).copied().unwrap_or_default();
        assert!(times * 20 >= seeds(), "{} was done {times} times in {} seeds", deed.as_str(), seeds());
    }
    for belief in Belief::ALL {
        let times = broken.get(&belief).copied().unwrap_or_default();
        if held.contains(&belief) {
            assert_eq!(times, 0, "{belief:?} is promised, and was broken");
        } else if !open.contains(&belief) {
            assert!(times > 0, "nothing broke {belief:?} in {} seeds", seeds());
        }
    }
}

#[test]
fn kafka() {
    prove(Like::Kafka, &[Belief::AllCome], &[]);
}

#[test]
fn rabbitmq() {
    prove(Like::RabbitMq, &[Belief::TheMarkTells, Belief::AllCome], &[]);
}

#[test]
fn jetstream() {
    prove(Like::JetStream, &[Belief::AllCome], &[]);
}

#[test]
fn core_nats() {
    let held = [Belief::AckedIsFinal, Belief::TheMarkTells, Belief::MarkedWasSeen];
    prove(Like::NatsCore, &held, &[Belief::HeldIsMine]);
}

#[test]
fn sqs_fifo() {
    let held = [Belief::AckedIsFinal, Belief::TheMarkTells, Belief::OneHandAKey, Belief::AllCome];
    prove(Like::SqsFifo, &held, &[Belief::HeldIsMine]);
}

#[test]
fn pulsar() {
    prove(Like::Pulsar, &[Belief::AllCome], &[]);
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for like in Like::ALL {
        let histories: Vec<_> = (0..2).map(|_| workload::run(like, 7).recorder.history()).collect();
        assert!(histories[0].len() > 1_000 && histories[0] == histories[1], "like={like}");
        let other = workload::run(like, 8).recorder.history();
        assert!(histories[0] != other, "like={like}: the seed decides nothing");
    }
}
