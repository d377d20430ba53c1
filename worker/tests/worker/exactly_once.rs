//! What a handler publishes, and the acknowledgement of its message, are one.

use std::time::Duration;

use anybroker_core::{
    Broker, Delivery, Kind, Message, Publisher, PublisherExt, PublisherOptions, Subscription, Topic,
    Topology, TransactionOptions, TransactionalId,
};
use anybroker_worker::{Context, Failure, Handling, Retry, Worker};

use crate::common::{
    Seen, bare_broker, broker, group, keyed, letters, noting, publish, settled, subscription,
};

fn bills() -> Topic {
    Topic::new("bills").unwrap()
}

fn options(id: &str) -> TransactionOptions {
    TransactionOptions::new(TransactionalId::new(id).unwrap())
}

fn exactly_once() -> Handling {
    Handling::default().exactly_once(options("billing-0"))
}

async fn with_bills() -> Broker {
    let broker = broker("?topology=check").await;
    broker.admin().declare(&Topology::new(bills()).group(group())).await.unwrap();
    broker
}

/// Publishes a bill for the message; the topic's publisher of the handler comes back.
async fn bill(delivery: &Delivery) -> Result<std::sync::Arc<dyn Publisher>, Failure> {
    let publishers = Context::of(delivery).unwrap().publishers();
    let mut bill = Message::new(delivery.payload().clone());
    bill.key = delivery.to_key();
    publishers.publish(&bills(), bill).await?;
    Ok(publishers.of(&bills()).await?)
}

/// The payloads of what is there.
async fn billed(broker: &Broker) -> Vec<String> {
    let count = broker.admin().backlog(&bills(), &group()).await.unwrap() as usize;
    let mut consumer = broker.consumer(Subscription::new(bills(), group())).await.unwrap();
    let mut all = Vec::new();
    while all.len() < count {
        let some = consumer.receive(count).await.unwrap();
        all.extend(some.iter().map(|it| String::from_utf8_lossy(it.payload()).into_owned()));
        std::mem::forget(some);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_attempt_has_published_is_never_seen() {
    let (broker, seen) = (with_bills().await, Seen::default());
    publish(&broker, keyed(1, 5)).await;
    let handler = noting(&seen, |delivery| async move {
        bill(&delivery).await?;
        match delivery.payload() == "2" && delivery.attempt() < 4 {
            true => Err(Failure::retryable("the provider is away")),
            false => Ok(()),
        }
    });
    let worker = Worker::builder(broker.clone()).handling(exactly_once()).subscribe(subscription(), handler);
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    assert_eq!(seen.all().len(), 8);
    assert_eq!(billed(&broker).await, ["0", "1", "2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_committed_and_its_outputs_are_not() {
    let (broker, seen) = (with_bills().await, Seen::default());
    publish(&broker, keyed(1, 3)).await;
    let handler = noting(&seen, |delivery| async move {
        bill(&delivery).await?;
        if delivery.payload() == "1" { Err(Failure::permanent("no such order")) } else { Ok(()) }
    });
    let worker = Worker::builder(broker.clone()).handling(exactly_once()).subscribe(subscription(), handler);
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    assert_eq!(billed(&broker).await, ["0", "2"]);
    let letters = letters(&broker).await;
    assert_eq!(letters.len(), 1);
    let letter = anybroker_core::dead_letter::DeadLetter::read(&letters[0]).unwrap();
    assert!(letter.reason.text().contains("no such order"), "{letter:?}");
    assert_eq!((letter.topic, letter.group), (Some(crate::common::topic()), Some(group())));
}

#[tokio::test(start_paused = true)]
async fn nobody_sees_a_part() {
    let (broker, seen) = (with_bills().await, Seen::default());
    publish(&broker, keyed(1, 2)).await;
    let watching = broker.clone();
    let handler = noting(&seen, move |delivery| {
        let broker = watching.clone();
        async move {
            bill(&delivery).await?;
            tokio::time::sleep(Duration::from_secs(5)).await;
            let there = broker.admin().backlog(&bills(), &group()).await?;
            let undone = broker.admin().backlog(&crate::common::topic(), &group()).await?;
            assert_eq!(there + undone, 2, "a bill is there, or its order is to be handled");
            Ok(())
        }
    });
    let worker = Worker::builder(broker.clone()).handling(exactly_once()).subscribe(subscription(), handler);
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    assert_eq!((seen.all().len(), billed(&broker).await.len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_has_ended_can_publish_nothing() {
    let (broker, seen) = (with_bills().await, Seen::default());
    publish(&broker, keyed(1, 1)).await;
    let (told, mut heard) = tokio::sync::mpsc::channel(1);
    let handler = noting(&seen, move |delivery| {
        let told = told.clone();
        async move {
            told.send(bill(&delivery).await?).await?;
            Ok(())
        }
    });
    let worker = Worker::builder(broker.clone()).handling(exactly_once()).subscribe(subscription(), handler);
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    let publisher = heard.recv().await.unwrap();
    let error = publisher.publish(Message::new("late")).await.unwrap_err();
    assert_eq!(error.error().kind(), Kind::Closed);
    assert_eq!(billed(&broker).await, ["0"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_told_the_handler() {
    let broker = bare_broker("?like=kafka").await;
    for topic in [crate::common::topic(), crate::common::dead(), bills()] {
        broker.admin().declare(&Topology::new(topic).group(group())).await.unwrap();
    }
    publish(&broker, keyed(1, 2)).await;
    let handler = noting(&Seen::default(), |delivery| async move {
        let publishers = Context::of(&delivery).unwrap().publishers();
        let size = if delivery.payload() == "0" { 2 << 20 } else { 8 };
        publishers.publish(&bills(), Message::new(vec![b'x'; size])).await?;
        let refused = publishers.open(PublisherOptions::new(bills())).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unsupported);
        Ok(())
    });
    let worker = Worker::builder(broker.clone()).handling(exactly_once()).subscribe(subscription(), handler);
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    assert_eq!((letters(&broker).await.len(), billed(&broker).await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_does_not_take_fails_alone() {
    let (broker, seen) = (with_bills().await, Seen::default());
    publish(&broker, keyed(5, 4)).await;
    let gone = Topic::new("gone").unwrap();
    broker.admin().declare(&Topology::new(gone.clone()).group(group())).await.unwrap();
    let admin = broker.clone();
    let handler = noting(&seen, move |delivery| {
        let (admin, gone) = (admin.clone(), gone.clone());
        async move {
            bill(&delivery).await?;
            if delivery.key() == Some(b"k3") && delivery.payload() == "1" {
                // It is there when the handler publishes, and gone when that is to be committed.
                let publishers = Context::of(&delivery).unwrap().publishers();
                publishers.publish(&gone, Message::new("to nobody")).await?;
                let _ = admin.admin().delete(&gone).await;
            }
            Ok(())
        }
    });
    let handling = exactly_once().retry(Retry::default().attempts(2));
    let worker = Worker::builder(broker.clone()).handling(handling).subscribe(subscription(), handler);
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    assert_eq!(billed(&broker).await.len(), 19);
    let letters = letters(&broker).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].key(), &letters[0].payload()[..]), (Some(&b"k3"[..]), &b"1"[..]));
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_the_id_ends_the_worker() {
    let (broker, seen) = (with_bills().await, Seen::default());
    publish(&broker, keyed(1, 1)).await;
    let other = broker.clone();
    let handler = noting(&seen, move |_| {
        let other = other.clone();
        async move {
            other.transactional_publisher(options("billing-0")).await?;
            Ok(())
        }
    });
    let worker = Worker::builder(broker.clone()).handling(exactly_once()).subscribe(subscription(), handler);
    let error = worker.build().unwrap().run_until(settled(&broker)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Fenced);
    assert!(error.to_string().contains("transactional id of its own"), "{error}");
    assert_eq!(broker.admin().backlog(&crate::common::topic(), &group()).await.unwrap(), 1);
}

#[tokio::test]
async fn it_is_refused_where_it_cannot_be() {
    let handler = || noting(&Seen::default(), |_| async { Ok(()) });
    let without = bare_broker("?like=rabbitmq").await;
    let worker = Worker::builder(without).handling(exactly_once()).subscribe(subscription(), handler());
    let error = worker.build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("outbox"), "{error}");

    let twice = Worker::builder(broker("").await).handling(exactly_once());
    let twice = twice.subscribe(subscription(), handler());
    let other = Subscription::new(bills(), group());
    let error = twice.subscribe(other, handler()).build().unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
}
