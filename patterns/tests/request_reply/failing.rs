//! Handlers that fail, and replies that cannot be published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anybroker_core::{Error, Kind, Message, Record};
use anybroker_patterns::request_reply::{Failing, Responder};

use super::{LONG, Service, memory, price, requester};

#[tokio::test]
async fn an_error_is_answered_with_its_kind_and_text() {
    let broker = memory().await;
    let responder = Responder::new(broker.clone(), price);
    let service = Service::start(&broker, responder.clone());
    let requester = requester(&broker).await;
    let error = requester.request(Message::new("unknown"), LONG).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (Kind::NotFound, "respond"));
    assert!(error.to_string().contains("there is no such fruit"), "{error}");
    requester.request(Message::new("kiwi"), LONG).await.unwrap();
    requester.close().await.unwrap();
    service.end().await;
    let answered = responder.answered();
    assert_eq!((answered.answered, answered.failed), (2, 1));
}

#[tokio::test]
async fn another_programs_error_is_unexpected() {
    let broker = memory().await;
    let fails = |_: Record| async { Err::<Message, _>(std::io::Error::other("the disk is full")) };
    let service = Service::start(&broker, Responder::new(broker.clone(), fails));
    let requester = requester(&broker).await;
    let error = requester.request(Message::new("x"), LONG).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unexpected);
    assert!(error.to_string().contains("the disk is full"), "{error}");
    requester.close().await.unwrap();
    service.end().await;
}

#[tokio::test]
async fn a_reply_that_no_broker_carries_is_answered_with_an_error() {
    let broker = memory().await;
    let service = Service::start(&broker, Responder::new(broker.clone(), price));
    let requester = requester(&broker).await;
    let error = requester.request(Message::new("huge"), LONG).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (Kind::TooLarge, "respond"), "{error}");
    requester.close().await.unwrap();
    service.end().await;
}

#[tokio::test]
async fn by_choice_a_request_is_tried_again() {
    let broker = memory().await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = attempts.clone();
    let second_time = move |_: Record| {
        let attempt = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            if attempt == 0 {
                return Err(Error::new(Kind::Disconnected, "price", "the database is away"));
            }
            Ok(Message::new("at last"))
        }
    };
    let responder = Responder::new(broker.clone(), second_time).failing(Failing::Retry);
    let service = Service::start(&broker, responder.clone());
    let requester = requester(&broker).await;
    assert_eq!(requester.request(Message::new("x"), LONG).await.unwrap().payload(), "at last");
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
    requester.close().await.unwrap();
    service.end().await;
    assert_eq!(responder.answered().failed, 0);
}

#[tokio::test]
async fn a_reply_that_comes_twice_is_discarded_once() {
    let broker = memory().await;
    let responder = Responder::new(broker.clone(), price);
    let requester = requester(&broker).await;
    // Two groups handle the request, as a responder does that died before its acknowledgement was recorded.
    let (one, two) = (Service::start(&broker, responder.clone()), {
        let subscription =
            anybroker_core::Subscription::new(super::topic(), anybroker_core::Group::new("again").unwrap());
        let worker = anybroker_worker::Worker::builder(broker.clone());
        let worker = worker.subscribe(subscription, responder).build().unwrap();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let worker = tokio::spawn(worker.run_until(async {
            let _ = ended.await;
        }));
        Service { end, worker }
    });
    assert_eq!(requester.request(Message::new("kiwi"), LONG).await.unwrap().payload(), "price of kiwi");
    super::until(|| requester.discarded() == 1).await;
    requester.close().await.unwrap();
    one.end().await;
    two.end().await;
}
