//! Requests that are answered, and those that are given up.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Broker, Fate, Kind, Message, Record};
use anybroker_patterns::request_reply::{Requester, RequesterOptions, Responder};
use futures::future::join_all;
use tokio::sync::Semaphore;

use super::{LONG, Service, memory, price, requester, sqlite, topic, until};

async fn many(broker: Broker) {
    let responder = Responder::new(broker.clone(), price);
    let service = Service::start(&broker, responder.clone());
    let (one, two) = (requester(&broker).await, requester(&broker).await);
    assert_ne!(one.reply_topic(), two.reply_topic());
    let asked = (0..200).map(|at| {
        let requester = if at % 2 == 0 { &one } else { &two };
        async move {
            let request = Message::new(format!("{at}")).with_key(format!("k{}", at % 7));
            let reply = requester.request(request, LONG).await.unwrap();
            assert_eq!(reply.payload(), &format!("price of {at}"));
        }
    });
    join_all(asked).await;
    assert_eq!((one.in_flight(), one.discarded(), two.discarded()), (0, 0, 0));
    until(|| responder.answered().answered == 200).await;
    one.close().await.unwrap();
    two.close().await.unwrap();
    service.end().await;
    responder.close().await.unwrap();
    broker.close().await.unwrap();
}

#[tokio::test]
async fn many_in_flight_over_memory() {
    many(memory().await).await;
}

#[tokio::test]
async fn many_in_flight_over_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    many(sqlite(&directory).await).await;
}

/// A responder that answers when it is let to.
fn held(broker: &Broker) -> (Responder, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let waits = gate.clone();
    let responder = Responder::new(broker.clone(), move |request: Record| {
        let waits = waits.clone();
        async move {
            waits.acquire().await.unwrap().forget();
            Ok::<_, anybroker_core::Error>(Message::new(request.payload().clone()))
        }
    });
    (responder, gate)
}

#[tokio::test]
async fn a_time_out_says_that_the_request_was_confirmed_and_its_reply_is_discarded() {
    let broker = memory().await;
    let (responder, gate) = held(&broker);
    let service = Service::start(&broker, responder);
    let requester = requester(&broker).await;
    let error = requester.request(Message::new("a"), Duration::from_millis(300)).await.unwrap_err();
    assert_eq!((error.kind(), error.fate()), (Kind::TimedOut, Fate::Unknown));
    assert!(error.to_string().contains("was confirmed (partition"), "{error}");
    assert_eq!((requester.in_flight(), requester.discarded()), (0, 0));
    gate.add_permits(1);
    until(|| requester.discarded() == 1).await;
    gate.add_permits(1);
    assert_eq!(requester.request(Message::new("b"), LONG).await.unwrap().payload(), "b");
    requester.close().await.unwrap();
    service.end().await;
}

#[tokio::test]
async fn a_cancelled_request_is_forgotten() {
    let broker = memory().await;
    let (responder, gate) = held(&broker);
    let service = Service::start(&broker, responder);
    let requester = Arc::new(requester(&broker).await);
    let asking = tokio::spawn({
        let requester = requester.clone();
        async move { requester.request(Message::new("a"), LONG).await }
    });
    until(|| requester.in_flight() == 1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    assert_eq!(requester.in_flight(), 0);
    gate.add_permits(2);
    // Whether the cancelled one was published in time or not: the next one has its own reply.
    assert_eq!(requester.request(Message::new("b"), LONG).await.unwrap().payload(), "b");
    requester.close().await.unwrap();
    service.end().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_any_more() {
    let broker = memory().await;
    let requester = requester(&broker).await;
    // There is no responder yet; tokio's clock jumps over the time-out, the wall clock has to pass it.
    requester.request(Message::new("late"), Duration::from_millis(20)).await.unwrap_err();
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(30))).await.unwrap();
    let responder = Responder::new(broker.clone(), price);
    let service = Service::start(&broker, responder.clone());
    assert_eq!(requester.request(Message::new("kiwi"), LONG).await.unwrap().payload(), "price of kiwi");
    assert_eq!((responder.answered().expired, requester.discarded()), (1, 0));
    requester.close().await.unwrap();
    service.end().await;
}

#[tokio::test]
async fn in_flight_is_bounded() {
    let broker = memory().await;
    let (responder, gate) = held(&broker);
    let service = Service::start(&broker, responder);
    let requester = Requester::open(&broker, topic(), RequesterOptions::new().in_flight(2)).await.unwrap();
    let two = join_all([1, 2].map(|at| requester.request(Message::new(format!("{at}")), LONG)));
    let third = async {
        until(|| requester.in_flight() == 2).await;
        let error = requester.request(Message::new("3"), Duration::from_millis(50)).await.unwrap_err();
        assert_eq!((error.kind(), error.fate()), (Kind::Throttled, Fate::NotApplied), "{error}");
        gate.add_permits(2);
    };
    let (two, ()) = tokio::join!(two, third);
    assert!(two.iter().all(|reply| reply.is_ok()));
    gate.add_permits(1);
    requester.request(Message::new("4"), LONG).await.unwrap();
    assert_eq!(requester.discarded(), 0);
    requester.close().await.unwrap();
    service.end().await;
}

#[tokio::test]
async fn an_id_waits_once() {
    let broker = memory().await;
    let (responder, gate) = held(&broker);
    let service = Service::start(&broker, responder);
    let requester = requester(&broker).await;
    let first = requester.request(Message::new("a").with_id("r-1"), LONG);
    let second = async {
        until(|| requester.in_flight() == 1).await;
        let error = requester.request(Message::new("b").with_id("r-1"), LONG).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Duplicate);
        gate.add_permits(1);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.unwrap().payload(), "a");
    // Once it is answered, the id is free; without deduplication it is another request.
    gate.add_permits(1);
    assert_eq!(requester.request(Message::new("c").with_id("r-1"), LONG).await.unwrap().payload(), "c");
    requester.close().await.unwrap();
    service.end().await;
}

#[tokio::test]
async fn closing_fails_what_waits() {
    let broker = memory().await;
    let requester = requester(&broker).await;
    let asked = requester.request(Message::new("a"), LONG);
    let closed = async {
        until(|| requester.in_flight() == 1).await;
        requester.close().await.unwrap();
    };
    let (asked, ()) = tokio::join!(asked, closed);
    assert_eq!(asked.unwrap_err().kind(), Kind::Closed);
    let after = requester.request(Message::new("b"), LONG).await.unwrap_err();
    assert_eq!(after.kind(), Kind::Closed);
    requester.close().await.unwrap();
}
