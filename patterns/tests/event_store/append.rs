//! Appending: versions, conflicts, the caller's transaction.

use std::time::{Duration, UNIX_EPOCH};

use anybroker_patterns::event_store::{AppendError, EventStore, Expected, Store};

use crate::support::{event, names, on_both, put};

on_both!(
    versions_are_counted_and_conflicts_say_the_actual_one,
    several_streams_in_one_transaction_or_none,
    a_conflict_leaves_the_transaction_usable,
    everything_of_an_event_comes_back,
    many_events_are_stored_as_few_are,
    a_conflict_of_many_events_leaves_the_transaction_usable,
    of_many_at_once_one_wins,
    names_that_no_column_holds_are_refused,
    an_archived_stream_takes_nothing,
);

async fn versions_are_counted_and_conflicts_say_the_actual_one<D: Store>(store: EventStore<D>) {
    use Expected::*;
    let mut t = store.begin().await.unwrap();
    let two = [event("a"), event("b")];
    assert_eq!(store.append(&mut t, "s", NoStream, &two).await.unwrap().version, 2);
    assert_eq!(store.append(&mut t, "s", Version(2), &two).await.unwrap().version, 4);
    assert_eq!(store.append(&mut t, "s", Any, &two).await.unwrap().version, 6);
    assert_eq!(store.append(&mut t, "t", Version(0), &two).await.unwrap().version, 2);
    assert_eq!(store.append(&mut t, "s", Version(6), &[]).await.unwrap().version, 6);
    t.commit().await.unwrap();
    for (stream, expected, version) in
        [("s", NoStream, 6), ("s", Version(5), 6), ("s", Version(7), 6), ("u", Version(1), 0)]
    {
        for events in [&two[..], &[]] {
            let mut t = store.begin().await.unwrap();
            let error = store.append(&mut t, stream, expected, events).await.unwrap_err();
            let AppendError::Conflict { stream: on, expected: wanted, actual } = &error else {
                panic!("{error}")
            };
            assert_eq!((on.as_str(), *wanted, *actual), (stream, expected, version));
            assert!(error.to_string().contains(stream), "{error}");
            t.commit().await.unwrap();
        }
    }
    let all = store.read("s", 1, 100).await.unwrap();
    assert_eq!(all.events.iter().map(|e| e.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(all.events.is_sorted_by_key(|event| event.position));
}

async fn several_streams_in_one_transaction_or_none<D: Store>(store: EventStore<D>) {
    for commit in [false, true] {
        let mut t = store.begin().await.unwrap();
        store.append(&mut t, "a", Expected::NoStream, &[event("x")]).await.unwrap();
        store.append(&mut t, "b", Expected::NoStream, &[event("y")]).await.unwrap();
        assert_eq!(
            store.read_in(&mut t, "b", 1, 10).await.unwrap().version,
            1,
            "its own transaction sees it"
        );
        if commit {
            t.commit().await.unwrap();
        } else {
            t.rollback().await.unwrap();
        }
        for stream in ["a", "b"] {
            let slice = store.read(stream, 1, 10).await.unwrap();
            assert_eq!((slice.version, slice.events.len()), (commit as u64, commit as usize));
        }
    }
}

async fn a_conflict_leaves_the_transaction_usable<D: Store>(store: EventStore<D>) {
    put(&store, "a", &["x"]).await;
    let mut t = store.begin().await.unwrap();
    store.append(&mut t, "b", Expected::NoStream, &[event("y")]).await.unwrap();
    store.append(&mut t, "a", Expected::NoStream, &[event("z")]).await.unwrap_err();
    store.append(&mut t, "a", Expected::Version(1), &[event("z")]).await.unwrap();
    t.commit().await.unwrap();
    assert_eq!(names(&store.read("a", 1, 10).await.unwrap().events), ["x", "z"]);
    assert_eq!(store.read("b", 1, 10).await.unwrap().version, 1);
}

async fn everything_of_an_event_comes_back<D: Store>(store: EventStore<D>) {
    let time = UNIX_EPOCH + Duration::from_micros(1_234_567_890_123_456);
    let full = event("order.placed")
        .at(time)
        .by("ann")
        .correlated("c-1")
        .caused_by("m-1")
        .with_header("ä", "\u{0}\"\n")
        .with_header("b", "");
    let mut bytes = event("b").at(UNIX_EPOCH - Duration::from_micros(1));
    bytes.data = vec![0, 255, 10].into();
    bytes.schema_version = 7;
    let mut t = store.begin().await.unwrap();
    store.append(&mut t, "s", Expected::Any, &[full.clone(), bytes.clone()]).await.unwrap();
    t.commit().await.unwrap();
    let read = store.read("s", 1, 10).await.unwrap().events;
    for (read, sent) in read.iter().zip([full, bytes]) {
        assert_eq!(read.metadata, sent.metadata);
        assert_eq!(
            (&read.event_type, read.schema_version, &read.data),
            (&sent.event_type, sent.schema_version, &sent.data)
        );
    }
}

async fn of_many_at_once_one_wins<D: Store>(store: EventStore<D>) {
    put(&store, "s", &["first"]).await;
    let attempts = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut t = store.begin().await.unwrap();
            let outcome = store.append(&mut t, "s", Expected::Version(1), &[event("x")]).await;
            t.commit().await.unwrap();
            outcome
        })
    });
    let outcomes = futures::future::join_all(attempts).await;
    let won = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().is_ok()).count();
    let lost = |o: &Result<_, _>| matches!(o, Err(AppendError::Conflict { actual: 2, .. }));
    let lost = outcomes.iter().filter(|outcome| lost(outcome.as_ref().unwrap())).count();
    assert_eq!((won, lost), (1, 7));
}

async fn names_that_no_column_holds_are_refused<D: Store>(store: EventStore<D>) {
    let mut t = store.begin().await.unwrap();
    let long = "x".repeat(513);
    for stream in ["", "a\0b", &long] {
        let error = store.append(&mut t, stream, Expected::Any, &[event("x")]).await.unwrap_err();
        assert!(error.to_string().contains("stream name"), "{error}");
    }
    for bad in [event(""), event("a\0"), event("a").by("\0"), {
        let mut e = event("a");
        e.schema_version = u32::MAX;
        e
    }] {
        store.append(&mut t, "s", Expected::Any, &[bad]).await.unwrap_err();
    }
    store.append(&mut t, "s", Expected::NoStream, &[event("x")]).await.unwrap();
}

async fn an_archived_stream_takes_nothing<D: Store>(store: EventStore<D>) {
    put(&store, "s", &["a", "b"]).await;
    let mut t = store.begin().await.unwrap();
    assert!(store.archive(&mut t, "none").await.is_err());
    store.archive(&mut t, "s").await.unwrap();
    t.commit().await.unwrap();
    let slice = store.read("s", 1, 10).await.unwrap();
    assert!(slice.archived.is_some() && slice.events.len() == 2 && slice.version == 2);
    for expected in [Expected::Any, Expected::Version(2), Expected::NoStream] {
        let mut t = store.begin().await.unwrap();
        let error = store.append(&mut t, "s", expected, &[event("c")]).await.unwrap_err();
        assert!(matches!(error, AppendError::Archived { version: 2, .. }), "{error}");
    }
    let mut t = store.begin().await.unwrap();
    store.restore(&mut t, "s").await.unwrap();
    assert_eq!(store.append(&mut t, "s", Expected::Version(2), &[event("c")]).await.unwrap().version, 3);
    t.commit().await.unwrap();
    assert!(store.read("s", 1, 10).await.unwrap().archived.is_none());
}

/// So many go another way in PostgreSQL.
const MANY: usize = 300;

async fn many_events_are_stored_as_few_are<D: Store>(store: EventStore<D>) {
    let events: Vec<_> = (0..MANY)
        .map(|at| {
            let mut event = event("kind").with_id(uuid::Uuid::from_u128(at as u128));
            event.schema_version = at as u32;
            event.data = vec![at as u8; at * 20].into();
            match at % 4 {
                0 => event.by("ann \u{1f600} \t\n\\N"),
                1 => event.correlated("c").caused_by(""),
                2 => event.with_header("h", "\0").at(UNIX_EPOCH - Duration::from_micros(at as u64)),
                _ => event,
            }
        })
        .collect();
    let mut t = store.begin().await.unwrap();
    for event in &events {
        store.append(&mut t, "few", Expected::Any, std::slice::from_ref(event)).await.unwrap();
    }
    let first = store.append(&mut t, "many", Expected::NoStream, &events).await.unwrap();
    let second = store.append(&mut t, "many", Expected::Version(first.version), &events).await.unwrap();
    t.commit().await.unwrap();
    let few = store.read("few", 1, MANY).await.unwrap().events;
    let many = store.read("many", 1, 3 * MANY).await.unwrap().events;
    assert_eq!((first.version, second.version), (MANY as u64, 2 * MANY as u64));
    assert_eq!((many[MANY - 1].position, many[2 * MANY - 1].position), (first.position, second.position));
    assert!(many.is_sorted_by_key(|event| event.position) && many.is_sorted_by_key(|event| event.version));
    for (many, few) in many.chunks(MANY).flat_map(|part| part.iter().zip(&few)) {
        assert_eq!((&many.event_type, many.schema_version), (&few.event_type, few.schema_version));
        assert_eq!((&many.data, &many.metadata), (&few.data, &few.metadata));
    }
}

async fn a_conflict_of_many_events_leaves_the_transaction_usable<D: Store>(store: EventStore<D>) {
    let events = vec![event("e"); MANY];
    let mut t = store.begin().await.unwrap();
    store.append(&mut t, "s", Expected::NoStream, &events).await.unwrap();
    for expected in [Expected::NoStream, Expected::Version(7)] {
        let refused = store.append(&mut t, "s", expected, &events).await;
        assert!(matches!(refused, Err(AppendError::Conflict { actual, .. }) if actual == MANY as u64));
    }
    store.append(&mut t, "s", Expected::Version(MANY as u64), &events).await.unwrap();
    t.commit().await.unwrap();
    assert_eq!(store.read("s", 1, 1).await.unwrap().version, 2 * MANY as u64);
}
