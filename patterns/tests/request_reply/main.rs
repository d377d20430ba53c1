//! Request-reply over the in-memory and the SQLite broker. The real ones: the case `requests_and_replies` of the conformance
//! suite; here only requesters that are killed, on Kafka, found by `ANYBROKER_KAFKA_URL`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod abandoned;
mod asking;
mod failing;
mod refused;
mod topics;

use std::time::Duration;

use anybroker_core::{
    Broker, DeadLetterPolicy, Error, Group, Kind, Message, Record, Result, Subscription, Topic,
};
use anybroker_patterns::request_reply::{Requester, RequesterOptions, Responder, requirements};
use anybroker_worker::{Handling, Retry, Worker};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

fn topic() -> Topic {
    Topic::new("prices").unwrap()
}

async fn memory() -> Broker {
    let name = format!("memory://replies-{}", anybroker_core::MessageId::new());
    anybroker_memory::connect(&name.parse().unwrap()).await.unwrap()
}

async fn sqlite(directory: &tempfile::TempDir) -> Broker {
    let url = format!("sqlite://{}/broker.db?topology=create", directory.path().display());
    anybroker_sqlite::connect(&url.parse().unwrap()).await.unwrap()
}

async fn requester(broker: &Broker) -> Requester {
    Requester::open(broker, topic(), RequesterOptions::new()).await.unwrap()
}

/// What responders do here: by the request's text.
async fn price(request: Record) -> Result<Message> {
    match std::str::from_utf8(request.payload()).unwrap() {
        "unknown" => Err(Error::new(Kind::NotFound, "price", "there is no such fruit")),
        "huge" => Ok(Message::new(vec![0; 65 << 20])),
        text => Ok(Message::new(format!("price of {text}"))),
    }
}

/// A responder at work.
struct Service {
    end: oneshot::Sender<()>,
    worker: JoinHandle<std::result::Result<(), anybroker_core::Error>>,
}

impl Service {
    fn start(broker: &Broker, responder: Responder) -> Self {
        Self::of(broker, topic(), responder)
    }

    fn of(broker: &Broker, requests: Topic, responder: Responder) -> Self {
        let subscription = Subscription::new(requests, Group::new("pricing").unwrap())
            .require(requirements())
            .dead_letter(DeadLetterPolicy { topic: dead(), max_attempts: None });
        let retry = Retry::default().attempts(2).backoff(Duration::from_millis(1), Duration::from_millis(5));
        let worker = Worker::builder(broker.clone()).handling(Handling::default().retry(retry));
        let worker = worker.subscribe(subscription, responder).build().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let worker = tokio::spawn(worker.run_until(async {
            let _ = ended.await;
        }));
        Service { end, worker }
    }

    async fn end(self) {
        self.end.send(()).unwrap();
        self.worker.await.unwrap().unwrap();
    }
}

fn dead() -> Topic {
    Topic::new("prices-dead").unwrap()
}

/// Waits until something holds.
async fn until(holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waited).await.expect("it never held");
}
