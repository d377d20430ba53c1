//! The test kit itself.

use std::time::Duration;

use anybroker_core::{Event, Key, Kind, Message, Subscription, Topic};
use anybroker_worker::testing::TestApp;
use anybroker_worker::{Attempt, Failure, Handling, Outcome, Publishers, Retry};
use serde::{Deserialize, Serialize};

use crate::common::{bare_broker, dead, group, subscription, topic};

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Ordered {
    order: u32,
}

impl Event for Ordered {
    const TYPE: &'static str = "ordered";
    fn key(&self) -> Option<Key> {
        Some(self.order.to_string().into())
    }
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Billed {
    order: u32,
}

impl Event for Billed {
    const TYPE: &'static str = "billed";
}

fn bills() -> Topic {
    "bills".parse().unwrap()
}

/// Order 1 is billed at the third attempt, order 2 never.
async fn bill(event: Ordered, attempt: Attempt, publishers: Publishers) -> Result<(), Failure> {
    match (event.order, attempt.0) {
        (1, 1..=2) => Err(Failure::retryable("the provider is away")),
        (2, _) => Err(Failure::permanent("no such order")),
        _ => Ok(publishers.publish_event(&bills(), &Billed { order: event.order }).await.map(drop)?),
    }
}

async fn post(_: Billed) {}

async fn app() -> TestApp {
    let retry = Retry::default().immediate(0).backoff(Duration::from_secs(3600), Duration::from_secs(36_000));
    let posting = Subscription::new(bills(), group());
    let build = |worker: anybroker_worker::Builder| {
        let worker = worker.handling(Handling::default().retry(retry));
        worker.subscribe(subscription(), bill).subscribe(posting, post)
    };
    TestApp::start(bare_broker("").await, build).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn tells_what_happened_until_the_worker_is_idle() {
    let app = app().await;
    for order in 0..3 {
        app.publish_event(&topic(), &Ordered { order }).await.unwrap();
    }
    let began = tokio::time::Instant::now();
    let happened = app.idle().await.unwrap();
    assert!(began.elapsed() > Duration::from_secs(3600), "the back-off has passed");
    assert_eq!(happened.events::<Billed>("bills"), [Billed { order: 0 }, Billed { order: 1 }], "{happened}");
    assert_eq!(happened.published_to(topic().as_str()).count(), 3);
    assert_eq!((happened.acknowledged().count(), happened.retried().count()), (4, 2), "{happened}");
    let dead: Vec<_> = happened.dead_lettered().collect();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].attempt, dead[0].error.as_deref()), (1, Some("no such order")));
    assert!(happened.to_string().contains("the provider is away"), "{happened}");
    // Nothing more has happened since.
    let nothing = app.idle().await.unwrap();
    assert!(nothing.published.is_empty() && nothing.treated.is_empty(), "{nothing}");
    app.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_never_becomes_idle_is_told_of() {
    async fn hang(_: Ordered) {
        std::future::pending::<()>().await;
    }
    let build = |worker: anybroker_worker::Builder| {
        worker
            .handling(Handling::default().without_timeout())
            .shutdown(Duration::ZERO)
            .subscribe(subscription(), hang)
    };
    let app = TestApp::start(bare_broker("").await, build).await.unwrap();
    app.publish_event(&topic(), &Ordered { order: 1 }).await.unwrap();
    let error = app.idle().await.unwrap_err();
    assert_eq!(error.kind(), Kind::TimedOut);
    assert!(error.to_string().contains("1 messages of orders for billing"), "{error}");
    app.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_is_told_of() {
    async fn end(_: Ordered) -> Result<(), Failure> {
        Err(Failure::fatal("on purpose"))
    }
    let app =
        TestApp::start(bare_broker("").await, |worker| worker.subscribe(subscription(), end)).await.unwrap();
    app.publish_event(&topic(), &Ordered { order: 1 }).await.unwrap();
    assert_eq!(app.idle().await.unwrap_err().kind(), Kind::Closed);
    assert!(app.stop().await.unwrap_err().to_string().contains("on purpose"));
    let closed = bare_broker("?topology=check").await;
    let error = TestApp::start(closed, |worker| worker.subscribe(subscription(), post)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
}

#[tokio::test(start_paused = true)]
async fn poison_is_one_dead_letter_and_nobody_waits_for_it() {
    let app = app().await;
    app.publish(&topic(), Message::new("{").with_type("ordered").with_key("5")).await.unwrap();
    app.publish_event(&topic(), &Ordered { order: 5 }).await.unwrap();
    let happened = app.idle().await.unwrap();
    let outcomes: Vec<_> =
        happened.treated.iter().filter(|it| it.topic == topic()).map(|it| it.outcome).collect();
    assert!(outcomes.len() == 2 && outcomes.contains(&Outcome::DeadLettered), "{happened}");
    assert_eq!(app.broker().admin().backlog(&dead(), &group()).await.unwrap_or(1), 1);
    app.stop().await.unwrap();
}
