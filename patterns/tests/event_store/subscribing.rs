//! Following: catching up, live, filters, cancelling.

use std::time::Duration;

use anybroker_patterns::event_store::{EventStore, Filter, Store};
use futures::StreamExt;

use crate::support::{SOON, event, follow, names, on_both, put, put_all};

on_both!(
    it_catches_up_and_goes_on_live,
    it_goes_on_where_it_was,
    a_filter_leaves_out_the_rest_and_moves_on,
    it_may_be_cancelled_at_any_time,
    every_event_once_while_many_write,
);

async fn it_catches_up_and_goes_on_live<D: Store>(store: EventStore<D>) {
    put(&store, "a", &["1", "2"]).await;
    let stream = store.subscribe(0).into_stream();
    let following = tokio::spawn(async move {
        let stream = std::pin::pin!(stream);
        stream.take(4).map(|event| event.unwrap().event_type).collect::<Vec<_>>().await
    });
    put(&store, "b", &["3"]).await;
    put(&store, "a", &["4"]).await;
    assert_eq!(tokio::time::timeout(SOON, following).await.unwrap().unwrap(), ["1", "2", "3", "4"]);
}

async fn it_goes_on_where_it_was<D: Store>(store: EventStore<D>) {
    put(&store, "a", &["1", "2", "3", "4", "5"]).await;
    let mut subscription = store.subscribe(0).with_batch(2);
    assert_eq!(names(&subscription.next_batch().await.unwrap()), ["1", "2"]);
    assert!(!subscription.is_caught_up());
    let mut again = store.subscribe(subscription.position()).with_batch(10);
    assert_eq!(names(&again.next_batch().await.unwrap()), ["3", "4", "5"]);
    assert!(again.is_caught_up());
}

async fn a_filter_leaves_out_the_rest_and_moves_on<D: Store>(store: EventStore<D>) {
    let filter = Filter::all().of_type("paid").of_type("sent").in_streams("order-");
    let mut subscription = store.subscribe_to(filter.clone(), 0).with_batch(3);
    put(&store, "order-1", &["placed", "paid", "sent"]).await;
    put(&store, "orders_1", &["paid"]).await;
    assert_eq!(names(&follow(&mut subscription, 2).await), ["paid", "sent"]);
    put(&store, "order%2", &["paid", "paid"]).await;
    let last = put(&store, "order-2", &["paid", "placed"]).await;
    assert_eq!(names(&follow(&mut subscription, 1).await), ["paid"]);
    let mut late = store.subscribe_to(filter, 0).with_batch(2);
    assert_eq!(names(&follow(&mut late, 3).await), ["paid", "sent", "paid"]);
    let nothing = tokio::time::timeout(Duration::from_millis(200), late.next_batch()).await;
    assert!(nothing.is_err());
    assert_eq!(late.position(), last.position, "what is left out is not read again");
}

async fn it_may_be_cancelled_at_any_time<D: Store>(store: EventStore<D>) {
    let events: Vec<_> = (0..300).map(|at| event(&at.to_string())).collect();
    let writing = {
        let (store, events) = (store.clone(), events.clone());
        tokio::spawn(async move {
            for events in events.chunks(10) {
                put_all(&store, "s", events).await;
            }
        })
    };
    let mut subscription = store.subscribe(0).with_batch(7);
    let (mut seen, mut wait) = (Vec::new(), 0);
    let all = async {
        while seen.len() < 300 {
            wait = (wait + 37) % 1_000;
            tokio::select! {
                biased;
                batch = subscription.next_batch() => seen.extend(batch.unwrap()),
                () = tokio::time::sleep(Duration::from_micros(wait)) => {}
            }
        }
    };
    tokio::time::timeout(SOON, all).await.unwrap();
    writing.await.unwrap();
    assert_eq!(names(&seen), events.iter().map(|e| e.event_type.as_str()).collect::<Vec<_>>());
}

async fn every_event_once_while_many_write<D: Store>(store: EventStore<D>) {
    let writers = (0..6_u64).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut kept = 0;
            for round in 0..30 {
                let mut t = store.begin().await.unwrap();
                for stream in 0..2 {
                    // Streams are locked in one order, so that nobody waits for ever.
                    let stream = format!("{stream}-{}", (writer + round) % 4);
                    let any = anybroker_patterns::event_store::Expected::Any;
                    store.append(&mut t, &stream, any, &[event("e"), event("e")]).await.unwrap();
                    tokio::time::sleep(Duration::from_micros((writer * 331 + round * 97) % 1_500)).await;
                }
                if (writer + round) % 3 == 0 {
                    t.rollback().await.unwrap();
                } else {
                    t.commit().await.unwrap();
                    kept += 4;
                }
            }
            kept
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut subscription = store.subscribe(0).with_batch(16);
    let following = tokio::spawn(async move {
        let all = follow(&mut subscription, 480).await;
        (subscription, all)
    });
    let mut kept = 0;
    for writer in writers {
        kept += writer.await.unwrap();
    }
    assert_eq!(kept, 480);
    let (_, all) = following.await.unwrap();
    assert!(all.is_sorted_by(|a, b| a.position < b.position));
    let mut versions = std::collections::HashMap::new();
    for event in &all {
        let last = versions.insert(event.stream.clone(), event.version).unwrap_or(0);
        assert_eq!(event.version, last + 1, "each stream in the order of its versions, nothing left out");
    }
}
