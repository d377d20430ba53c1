//! The shared cases are proved to notice: backends that lie must be caught, by the property that they break.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod liar;

use std::sync::Arc;
use std::time::Duration;

use anybroker_conformance::cases::{CASES, Context};
use liar::{Liar, Lie};

/// Runs a case on a lying in-memory broker; gives the text that it fails with.
async fn caught(case: &str, lie: Lie) -> Option<String> {
    let name = format!("liar-{lie:?}");
    let url = format!("memory://{}?topology=check&partitions=4", name.to_lowercase());
    let broker = anybroker::connect(&url).await.unwrap();
    let context = Context {
        name,
        connect: Arc::new(move || {
            let broker = broker.clone();
            Box::pin(async move { Ok(Arc::new(Liar::new(broker, lie)) as anybroker::Broker) })
        }),
        spawn_member: Err("a liar lives in this process"),
        faults: Err("a liar has no process"),
        detour: Err("a liar has no connection"),
        volatile: None,
        quiet: Duration::from_secs(2),
        seed: 7,
        histories: Default::default(),
    };
    let case = CASES.iter().find(|c| c.name == case).expect("the case exists");
    (case.run)(context).await.err().map(|error| error.to_string())
}

/// The liar must be caught, and the report must name the property as violated.
async fn names(lie: Lie, property: &str) {
    let text = caught("order_per_key", lie).await.unwrap_or_else(|| panic!("{lie:?} was believed"));
    let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{property} ")));
    assert!(line.is_some_and(|line| line.contains("violation")), "{lie:?} is not named {property}:\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_backend_is_believed() {
    assert_eq!(caught("order_per_key", Lie::Nothing).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_a_message_is_p3() {
    names(Lie::LosesSome, "P3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confirming_without_storing_is_p3() {
    names(Lie::ConfirmsWithoutStoring, "P3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_a_nack_for_an_ack_is_p3() {
    names(Lie::TakesNackForAck, "P3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reordering_is_p7() {
    names(Lie::Reorders, "P7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncating_a_payload_is_p1() {
    names(Lie::Truncates, "P1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delivering_again_without_a_cause_is_p6() {
    names(Lie::RepeatsAcknowledged, "P6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hiding_redeliveries_is_p9() {
    names(Lie::HidesAttempts, "P9").await;
}
