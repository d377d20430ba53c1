//! Group commit: everyone gets their own result.

use std::sync::Arc;

use anybroker_patterns::event_store::{AppendError, AppenderOptions, EventStore, Expected, Store};

use crate::support::{Raw, event, follow, on_both, put};

on_both!(
    a_conflict_fails_only_its_own_append,
    appends_that_follow_on_each_other_go_together,
    many_tasks_append_and_nothing_is_lost,
    one_that_cannot_be_stored_spoils_no_other,
    transactions_side_by_side_keep_every_stream_in_order,
    closing_waits_for_what_was_taken,
);

async fn a_conflict_fails_only_its_own_append<D: Store>(store: EventStore<D>) {
    put(&store, "taken", &["first"]).await;
    let appender = store.appender(AppenderOptions::default());
    let append = |stream: &'static str, expected| appender.append(stream, expected, vec![event("e")]);
    let (a, b, c, d, e) = tokio::join!(
        append("a", Expected::NoStream),
        append("taken", Expected::NoStream),
        append("taken", Expected::Any),
        append("b", Expected::Version(3)),
        append("taken", Expected::Version(1)),
    );
    assert_eq!(a.unwrap().version, 1);
    assert!(matches!(b, Err(AppendError::Conflict { actual: 1, .. })), "{b:?}");
    assert_eq!(c.unwrap().version, 2);
    assert!(matches!(d, Err(AppendError::Conflict { actual: 0, .. })), "{d:?}");
    assert!(matches!(e, Err(AppendError::Conflict { actual: 2, .. })), "{e:?}");
    appender.close().await;
}

async fn appends_that_follow_on_each_other_go_together<D: Store>(store: EventStore<D>) {
    let appender = store.appender(AppenderOptions::default());
    let append = |expected, count| appender.append("s", expected, vec![event("e"); count]);
    let (a, b, c) = tokio::join!(
        append(Expected::NoStream, 2),
        append(Expected::Version(2), 3),
        append(Expected::Any, 1)
    );
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert_eq!([a.version, b.version, c.version], [2, 5, 6]);
    let events = store.read("s", 1, 10).await.unwrap().events;
    for appended in [a, b, c] {
        assert_eq!(events[appended.version as usize - 1].position, appended.position);
    }
}

async fn many_tasks_append_and_nothing_is_lost<D: Store>(store: EventStore<D>) {
    let options = AppenderOptions { events: 50, waiting: 8, ..AppenderOptions::default() };
    let appender = Arc::new(store.appender(options));
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let appender = appender.clone();
            tokio::spawn(async move {
                let (mut version, mut lost) = (0, 0);
                for _ in 0..20 {
                    // Two tasks share a stream, so that there are conflicts.
                    let stream = format!("s{}", task / 2);
                    match appender.append(stream, Expected::Version(version), vec![event("e")]).await {
                        Ok(appended) => version = appended.version,
                        Err(AppendError::Conflict { actual, expected, .. }) => {
                            assert_ne!(Expected::Version(actual), expected);
                            (version, lost) = (actual, lost + 1);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                20 - lost
            })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        taken += task.await.unwrap();
    }
    let all = follow(&mut store.subscribe(0), taken).await;
    let mut versions = std::collections::HashMap::<_, u64>::new();
    for event in &all {
        let version = versions.entry(&event.stream).or_default();
        *version += 1;
        assert_eq!(event.version, *version);
    }
}

async fn one_that_cannot_be_stored_spoils_no_other<D: Raw>(store: EventStore<D>) {
    // A stream whose next version is there already, as only a hand could do it.
    put(&store, "broken", &["a", "b"]).await;
    let appender = store.appender(AppenderOptions::default());
    let back = "update anybroker_event_streams set version = 1 where stream = 'broken'";
    store.database().raw(back).await.unwrap();
    let append =
        |stream: &'static str, count| appender.append(stream, Expected::Any, vec![event("e"); count]);
    let mut version = 0;
    for count in [1, 200] {
        let (a, broken, b) = tokio::join!(append("a", count), append("broken", 1), append("b", count));
        assert!(matches!(broken, Err(AppendError::Failed(_))), "{broken:?}");
        version += count as u64;
        assert_eq!((a.unwrap().version, b.unwrap().version), (version, version));
    }
}

async fn closing_waits_for_what_was_taken<D: Store>(store: EventStore<D>) {
    let appender = Arc::new(store.appender(AppenderOptions::default()));
    let tasks: Vec<_> = (0..30)
        .map(|at| {
            let appender = appender.clone();
            tokio::spawn(
                async move { appender.append(format!("s{at}"), Expected::Any, vec![event("e")]).await },
            )
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    Arc::into_inner(appender).unwrap().close().await;
    assert_eq!(follow(&mut store.subscribe(0), 30).await.len(), 30);
}

async fn transactions_side_by_side_keep_every_stream_in_order<D: Store>(store: EventStore<D>) {
    const TASKS: usize = 300;
    let options = AppenderOptions { events: 120, ..AppenderOptions::default() };
    let appender = Arc::new(store.appender(options));
    for task in 0..TASKS {
        let appender = appender.clone();
        tokio::spawn(async move {
            // Two tasks share a stream.
            let (stream, mut version, mut stored) = (format!("s{}", task / 2), 0, 0);
            while stored < 5 {
                let events = vec![event("e"); 3];
                match appender.append(stream.as_str(), Expected::Version(version), events).await {
                    Ok(appended) => (version, stored) = (appended.version, stored + 1),
                    Err(AppendError::Conflict { actual, .. }) => version = actual,
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    // While they append.
    let all = follow(&mut store.subscribe(0), TASKS * 5 * 3).await;
    let mut versions = std::collections::HashMap::<_, u64>::new();
    for event in &all {
        let version = versions.entry(&event.stream).or_default();
        *version += 1;
        assert_eq!(event.version, *version, "{}", event.place());
    }
    assert!(all.is_sorted_by_key(|event| event.position));
}
