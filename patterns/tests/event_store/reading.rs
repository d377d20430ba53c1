//! Reading a stream: pages, states of the past, snapshots, upcasters.

use std::time::{Duration, UNIX_EPOCH};

use anybroker_core::Kind;
use anybroker_patterns::event_store::{At, EventStore, NewEvent, Store};
use anybroker_patterns::schema::Upcasters;

use crate::support::{event, follow, on_both, put, put_all};

on_both!(
    pages_begin_anywhere,
    the_state_as_of_a_version_or_a_time,
    a_snapshot_of_other_code_is_none,
    old_events_are_read_as_the_newest_version_everywhere,
    a_version_that_cannot_be_read_is_named_and_loses_nothing,
);

async fn pages_begin_anywhere<D: Store>(store: EventStore<D>) {
    let events: Vec<_> = (0..1_203).map(|_| event("e")).collect();
    put_all(&store, "s", &events).await;
    let slice = store.read("s", 1_000, 100).await.unwrap();
    assert_eq!((slice.events.len(), slice.events[0].version, slice.version), (100, 1_000, 1_203));
    assert_eq!(store.read("s", 1_204, 100).await.unwrap().events, []);
    assert_eq!(store.read("none", 1, 100).await.unwrap().version, 0);
    let count = |count: &mut u64, _: &_| {
        *count += 1;
        Ok(())
    };
    assert_eq!(store.fold("s", 1, At::Latest, 0, count).await.unwrap(), (1_203, 1_203));
}

async fn the_state_as_of_a_version_or_a_time<D: Store>(store: EventStore<D>) {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let events: Vec<_> = [10, 20, 40, 30].into_iter().map(|second| event("e").at(at(second))).collect();
    put_all(&store, "s", &events).await;
    let count = |count: &mut u64, _: &_| {
        *count += 1;
        Ok(())
    };
    for (when, seen) in [
        (At::Latest, 4),
        (At::Version(0), 0),
        (At::Version(3), 3),
        (At::Version(9), 4),
        (At::Time(at(9)), 0),
        (At::Time(at(20)), 2),
        (At::Time(at(35)), 2),
        (At::Time(at(40)), 4),
    ] {
        assert_eq!(store.fold("s", 1, when, 0, count).await.unwrap(), (seen, seen), "{when:?}");
    }
}

async fn a_snapshot_of_other_code_is_none<D: Store>(store: EventStore<D>) {
    put(&store, "s", &["a", "b", "c"]).await;
    assert_eq!(store.snapshot("s", 1).await.unwrap(), None);
    for (version, code, data, seen) in [
        (2, 1, "two", Some((2, "two"))),
        (1, 1, "older", Some((2, "two"))),
        (1, 2, "other code", None),
        (3, 1, "three", Some((3, "three"))),
        (4, 1, "ahead of the stream", None),
    ] {
        let mut t = store.begin().await.unwrap();
        store.keep_snapshot(&mut t, "s", version, code, data).await.unwrap();
        t.commit().await.unwrap();
        let found = store.snapshot("s", 1).await.unwrap();
        assert_eq!(found.map(|s| (s.version, s.data)), seen.map(|(v, d)| (v, d.into())), "{data}");
    }
}

fn upcasters() -> Upcasters {
    Upcasters::new()
        .step("paid", 2, 3, |mut data| {
            data["currency"] = "EUR".into();
            Ok(data)
        })
        .unwrap()
        .step("paid", 3, 5, |mut data| {
            data["cents"] = (data["euros"].as_u64().ok_or("there are no euros")? * 100).into();
            Ok(data)
        })
        .unwrap()
}

async fn old_events_are_read_as_the_newest_version_everywhere<D: Store>(store: EventStore<D>) {
    let paid = |version, data: &'static str| NewEvent::new("paid", version, data);
    let newest = r#"{"cents":200,"currency":"EUR","euros":2}"#;
    let events = [
        paid(2, r#"{"euros":2}"#),
        paid(3, r#"{"euros":2,"currency":"EUR"}"#),
        paid(5, newest),
        event("other"),
    ];
    put_all(&store, "s", &events).await;
    let store = store.with_upcasters(upcasters());
    let read = store.read("s", 1, 10).await.unwrap().events;
    for paid in &read[..3] {
        assert_eq!((paid.schema_version, &paid.data[..]), (5, newest.as_bytes()));
    }
    assert_eq!(read[3].schema_version, 1, "a type without steps passes");
    assert_eq!(follow(&mut store.subscribe(0), 4).await, read);
}

async fn a_version_that_cannot_be_read_is_named_and_loses_nothing<D: Store>(store: EventStore<D>) {
    for (version, data, text) in [
        (1, "{}", "older than any upcaster"),
        (6, "{}", "newer than this program knows"),
        (2, "no JSON", "no JSON"),
        (3, "{}", "there are no euros"),
    ] {
        let stream = format!("s{version}");
        let before = put(&store, &stream, &["before"]).await.position;
        put_all(&store, &stream, &[NewEvent::new("paid", version, data)]).await;
        put(&store, &stream, &["after"]).await;
        let strict = store.clone().with_upcasters(upcasters());
        let errors = [strict.read(&stream, 1, 10).await.unwrap_err(), {
            let mut subscription = strict.subscribe(before - 1);
            assert_eq!(follow(&mut subscription, 1).await[0].event_type, "before");
            subscription.next_batch().await.unwrap_err();
            assert_eq!(subscription.position(), before, "it stays there");
            subscription.next_batch().await.unwrap_err()
        }];
        for error in errors {
            assert_eq!(error.kind(), Kind::Decode);
            let said = error.to_string();
            for part in [text, &stream, "event 2", &format!("paid version {version}")] {
                assert!(said.contains(part), "{said} without {part}");
            }
        }
        assert_eq!(follow(&mut store.subscribe(before), 2).await[1].event_type, "after", "nothing was lost");
    }
}
