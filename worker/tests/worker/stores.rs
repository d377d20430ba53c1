//! Idempotency and parking, on both stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anybroker_core::dead_letter::DeadLetter;
use anybroker_core::{
    Broker, ConsumerExt, Group, Key, Message, MessageId, PublisherExt, PublisherOptions, Subscription,
};
use anybroker_worker::{
    Admission, Begin, Failure, Handling, Idempotency, IdempotencyStore, Lot, MemoryStore, ParkingStore,
    Worker,
};
use tower::ServiceBuilder;

use crate::common::{
    Seen, broker, dead, group, keyed, letters, noting, publish, settled, subscription, topic,
};

const LEASE: Duration = Duration::from_secs(60);

async fn remembers(store: &dyn IdempotencyStore) {
    let (group, other): (Group, Group) = ("a".parse().unwrap(), "b".parse().unwrap());
    let id = MessageId::from("m-1");
    assert_eq!(store.begin(&group, &id, LEASE).await.unwrap(), Begin::Claimed);
    assert!(matches!(store.begin(&group, &id, LEASE).await.unwrap(), Begin::InWork(left) if left <= LEASE));
    assert_eq!(store.begin(&other, &id, LEASE).await.unwrap(), Begin::Claimed);
    store.abandon(&group, &id).await.unwrap();
    assert_eq!(store.begin(&group, &id, Duration::ZERO).await.unwrap(), Begin::Claimed);
    assert_eq!(store.begin(&group, &id, LEASE).await.unwrap(), Begin::Claimed, "the lease is over");
    store.complete(&group, &id).await.unwrap();
    store.abandon(&group, &id).await.unwrap();
    assert_eq!(store.begin(&group, &id, LEASE).await.unwrap(), Begin::Done);
}

async fn parks(store: &dyn ParkingStore) {
    let (key, other) = (Key::from("k"), Key::from("l"));
    let (topic, group) = (topic(), group());
    let lot = Lot { topic: &topic, group: &group, key: &key };
    let of = |id: &str| MessageId::from(id);
    assert_eq!(store.admit(&lot, &of("1")).await.unwrap(), Admission::Free);
    store.park(&lot, &of("1")).await.unwrap();
    store.park(&lot, &of("1")).await.unwrap();
    assert_eq!(store.admit(&lot, &of("2")).await.unwrap(), Admission::Behind(of("1")));
    assert_eq!(store.admit(&lot, &of("3")).await.unwrap(), Admission::Behind(of("1")));
    assert_eq!(store.admit(&Lot { key: &other, ..lot }, &of("9")).await.unwrap(), Admission::Free);
    assert_eq!(store.admit(&lot, &of("1")).await.unwrap(), Admission::First);
    store.leave(&lot, &of("1")).await.unwrap();
    assert_eq!(store.admit(&lot, &of("3")).await.unwrap(), Admission::Behind(of("2")));
    assert_eq!(store.admit(&lot, &of("2")).await.unwrap(), Admission::First);
    store.leave(&lot, &of("2")).await.unwrap();
    store.leave(&lot, &of("3")).await.unwrap();
    assert_eq!(store.admit(&lot, &of("4")).await.unwrap(), Admission::Free);
}

#[tokio::test]
async fn memory_remembers() {
    remembers(&MemoryStore::new(100)).await;
    parks(&MemoryStore::new(100)).await;
}

#[tokio::test]
async fn memory_forgets_the_oldest() {
    let (store, group) = (MemoryStore::new(2), group());
    for id in ["1", "2", "3"] {
        store.begin(&group, &id.into(), LEASE).await.unwrap();
        store.complete(&group, &id.into()).await.unwrap();
    }
    assert_eq!(store.begin(&group, &"1".into(), LEASE).await.unwrap(), Begin::Claimed);
    assert_eq!(store.begin(&group, &"3".into(), LEASE).await.unwrap(), Begin::Done);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_file_remembers_for_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let open = || anybroker_worker::SqliteStore::open(folder.path().join("store.db"), LEASE).unwrap();
    remembers(&open()).await;
    parks(&open()).await;
    let (one, two, group) = (open(), open(), "c".parse().unwrap());
    one.begin(&group, &"m".into(), LEASE).await.unwrap();
    one.complete(&group, &"m".into()).await.unwrap();
    assert_eq!(two.begin(&group, &"m".into(), LEASE).await.unwrap(), Begin::Done);
    assert!(anybroker_worker::SqliteStore::open(folder.path().join("no/store.db"), LEASE).is_err());
}

#[tokio::test(start_paused = true)]
async fn what_took_effect_is_not_handled_again() {
    let (broker, seen) = (broker("").await, Seen::default());
    let twice = || Message::new("0").with_key("k0").with_id("m-1");
    publish(&broker, [twice(), Message::new("1").with_key("k0"), twice()]).await;
    let handler = noting(&seen, |delivery| async move {
        match delivery.attempt() {
            1 => Err(Failure::retryable("the first attempt has no effect")),
            _ => Ok(()),
        }
    });
    let layer = Idempotency::new(Arc::new(MemoryStore::new(100)));
    let service = ServiceBuilder::new().layer(layer).service(handler);
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), service).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    let payloads: Vec<_> = seen.all().into_iter().map(|(_, payload, _)| payload).collect();
    assert_eq!(payloads, ["0", "0", "1", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_was_dropped_gives_its_claim_up() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(1, 1)).await;
    let handler = noting(&seen, |delivery| async move {
        if delivery.attempt() == 1 {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let layer = Idempotency::new(Arc::new(MemoryStore::new(100))).lease(Duration::from_secs(3600));
    let service = ServiceBuilder::new().layer(layer).service(handler);
    let handling = Handling::default().timeout(Duration::from_secs(1));
    let worker = Worker::builder(broker.clone()).handling(handling).subscribe(subscription(), service);
    let began = tokio::time::Instant::now();
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    assert_eq!(seen.all().len(), 2);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

/// Publishes the dead letters to their topic again, in order, and takes them off the dead letter topic.
async fn replay(broker: &Broker) -> usize {
    let publisher = broker.publisher(PublisherOptions::new(topic())).await.unwrap();
    let mut consumer = broker.consumer(Subscription::new(dead(), group())).await.unwrap();
    let count = broker.admin().backlog(&dead(), &group()).await.unwrap() as usize;
    for _ in 0..count {
        let letter = consumer.next().await.unwrap();
        publisher.publish(DeadLetter::original(&letter)).await.unwrap();
        letter.ack().await.unwrap();
    }
    consumer.close().await.unwrap();
    count
}

#[tokio::test(start_paused = true)]
async fn later_messages_of_a_key_are_parked_until_the_first_was_replayed() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(2, 4)).await;
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = mended.clone();
    let handler = noting(&seen, move |delivery| {
        let broken =
            !is_mended.load(Ordering::SeqCst) && delivery.key() == Some(b"k0") && delivery.payload() == "1";
        async move { if broken { Err(Failure::permanent("no such customer")) } else { Ok(()) } }
    });
    let store = Arc::new(MemoryStore::new(100));
    let worker = || {
        let handling = Handling::default().park(store.clone());
        let worker = Worker::builder(broker.clone()).handling(handling);
        worker.subscribe(subscription(), handler.clone()).build().unwrap().run_until(settled(&broker))
    };
    worker().await.unwrap();
    let of_key = |key: &str| {
        let all = seen.all().into_iter().filter(|(of, ..)| of == key);
        all.map(|(_, payload, _)| payload).collect::<Vec<_>>()
    };
    assert_eq!(of_key("k0"), ["0", "1"]);
    assert_eq!(of_key("k1"), ["0", "1", "2", "3"], "the other key goes on");
    let parked: Vec<_> = letters(&broker).await.iter().map(|letter| letter.payload().to_vec()).collect();
    assert_eq!(parked, [b"1", b"2", b"3"]);

    // Replayed while it is still broken, the first parks the others again.
    assert_eq!(replay(&broker).await, 3);
    worker().await.unwrap();
    assert_eq!(of_key("k0"), ["0", "1", "1"]);
    assert_eq!(broker.admin().backlog(&dead(), &group()).await.unwrap(), 3);

    mended.store(true, Ordering::SeqCst);
    replay(&broker).await;
    publish(&broker, [Message::new("4").with_key("k0")]).await;
    worker().await.unwrap();
    assert_eq!(of_key("k0"), ["0", "1", "1", "1", "2", "3", "4"]);
    assert_eq!(broker.admin().backlog(&dead(), &group()).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn parking_needs_a_dead_letter_topic() {
    let handling = Handling::default().park(Arc::new(MemoryStore::new(1)));
    let bare = Subscription::new(topic(), group());
    let handler = noting(&Seen::default(), |_| async { Ok(()) });
    let worker = Worker::builder(broker("").await).handling(handling).subscribe(bare, handler);
    assert_eq!(worker.build().unwrap_err().kind(), anybroker_core::Kind::InvalidConfiguration);
}
