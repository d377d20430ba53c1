//! The order of all events while transactions commit in another order than they draw positions: what follows events in
//! PostgreSQL the usual ways fails one of these, and is kept here to show that each trap snaps.

use std::time::Duration;

use anybroker_patterns::database::Postgres;
use anybroker_patterns::event_store::{EventStore, Expected, Recorded, Subscription, Transaction};
use sqlx::{AssertSqlSafe, Row};

use crate::support::{event, follow, postgres};

type Store = EventStore<Postgres>;

/// Somebody who follows: gives what is new, as (position, type).
enum Reader {
    Ours(Box<Subscription<Postgres>>),
    Liar { store: Store, sql: &'static str, cursor: (i64, i64), forgive: bool },
}

const COLUMNS: &str = "select position, type, xmin::text::bigint as xid from anybroker_events";

impl Reader {
    fn ours(store: &Store) -> Self {
        Reader::Ours(Box::new(store.subscribe(0)))
    }

    /// Whatever is visible after the last position.
    fn by_position(store: &Store) -> Self {
        Self::liar(store, "where position > $2 order by position", false)
    }

    /// Waits a while at a gap, and then believes that it stays one.
    fn patient(store: &Store) -> Self {
        Self::liar(store, "where position > $2 order by position", true)
    }

    /// Only what is older than every running transaction; goes on after the last position.
    fn watermark(store: &Store) -> Self {
        Self::liar(
            store,
            "where position > $2 and xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
             order by position",
            false,
        )
    }

    /// As that, in the order of transaction ids.
    fn by_transaction(store: &Store) -> Self {
        Self::liar(
            store,
            "where (xmin::text::bigint, position) > ($1, $2) \
             and xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
             order by xmin::text::bigint, position",
            false,
        )
    }

    fn liar(store: &Store, sql: &'static str, forgive: bool) -> Self {
        Reader::Liar { store: store.clone(), sql, cursor: (0, 0), forgive }
    }

    /// Ours looks at what there is, and has to wait or not; a liar hands out what it sees, as soon as the watermark is
    /// past the transactions of other tests.
    async fn peek(&mut self) -> Vec<String> {
        match self {
            Reader::Ours(subscription) => {
                let read = tokio::time::timeout(Duration::from_millis(100), subscription.next_batch()).await;
                read.map_or_else(|_| Vec::new(), |events| events.unwrap().into_iter().map(kind).collect())
            }
            Reader::Liar { forgive, .. } => {
                if *forgive {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                self.poll(50).await
            }
        }
    }

    /// Until everything came that was committed; a liar may try for a while.
    async fn rest(&mut self, seen: &mut Vec<String>, count: usize) {
        if let Reader::Ours(subscription) = self {
            let rest = follow(subscription, count - seen.len()).await;
            return seen.extend(rest.into_iter().map(kind));
        }
        while seen.len() < count {
            let more = self.poll(10).await;
            if more.is_empty() {
                return;
            }
            seen.extend(more);
        }
    }

    async fn poll(&mut self, times: usize) -> Vec<String> {
        let Reader::Liar { store, sql, cursor, .. } = self else { return Vec::new() };
        for _ in 0..times {
            let query = sqlx::query(AssertSqlSafe(format!("{COLUMNS} {sql}"))).bind(cursor.0).bind(cursor.1);
            let rows = query.fetch_all(store.database().pool()).await.unwrap();
            if let Some(last) = rows.last() {
                *cursor = (last.get("xid"), last.get("position"));
                return rows.iter().map(|row| row.get("type")).collect();
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        Vec::new()
    }
}

fn kind(event: Recorded) -> String {
    event.event_type
}

/// A transaction that has an id already, as one has that wrote something else first.
async fn begin(store: &Store) -> Transaction<Postgres> {
    let mut t = store.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *t).await.unwrap();
    t
}

async fn append(store: &Store, t: &mut Transaction<Postgres>, stream: &str, name: &str) {
    store.append(t, stream, Expected::Any, &[event(name)]).await.unwrap();
}

/// The lower position commits later.
async fn late_commit(store: Store, mut reader: Reader) -> Vec<String> {
    let (mut first, mut second) = (begin(&store).await, begin(&store).await);
    append(&store, &mut first, "a", "low").await;
    append(&store, &mut second, "b", "high").await;
    second.commit().await.unwrap();
    let mut seen = reader.peek().await;
    first.commit().await.unwrap();
    reader.rest(&mut seen, 2).await;
    seen
}

/// The older transaction draws the higher position and commits first.
async fn older_draws_later(store: Store, mut reader: Reader) -> Vec<String> {
    let (mut older, mut younger) = (begin(&store).await, begin(&store).await);
    append(&store, &mut younger, "a", "low").await;
    append(&store, &mut older, "b", "high").await;
    older.commit().await.unwrap();
    let mut seen = reader.peek().await;
    younger.commit().await.unwrap();
    reader.rest(&mut seen, 2).await;
    seen
}

/// The older transaction appends to a stream after a younger one did: the younger one's event is the cause.
async fn older_follows(store: Store, mut reader: Reader) -> Vec<String> {
    let mut older = begin(&store).await;
    let mut younger = begin(&store).await;
    append(&store, &mut younger, "a", "cause").await;
    younger.commit().await.unwrap();
    append(&store, &mut older, "a", "effect").await;
    older.commit().await.unwrap();
    let mut seen = Vec::new();
    reader.rest(&mut seen, 2).await;
    seen
}

/// A long transaction is open that writes no events.
async fn long_transaction(store: Store, mut reader: Reader) -> Vec<String> {
    let long = begin(&store).await;
    let mut t = begin(&store).await;
    append(&store, &mut t, "a", "event").await;
    t.commit().await.unwrap();
    let mut seen = Vec::new();
    reader.rest(&mut seen, 1).await;
    long.rollback().await.unwrap();
    seen
}

macro_rules! trap {
    ($name:ident: $expected:expr; $($reader:ident => $seen:expr),*) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let expected: &[&str] = &$expected;
            postgres(|store| async move {
                let reader = Reader::ours(&store);
                assert_eq!(super::traps::scenario::$name(store, reader).await, expected);
            }).await;
            $(postgres(|store| async move {
                let reader = Reader::$reader(&store);
                let seen: &[&str] = &$seen;
                let liar = super::traps::scenario::$name(store, reader).await;
                assert_eq!(liar, seen, "{} is not caught as it should be", stringify!($reader));
                assert_ne!(liar, expected);
            }).await;)*
        }
    };
}

mod scenario {
    pub(super) use super::{
        late_commit as a_lower_position_that_commits_later_is_not_lost,
        long_transaction as a_long_transaction_that_writes_no_events_stalls_nobody,
        older_draws_later as an_older_transaction_that_draws_later_loses_nothing,
        older_follows as an_effect_never_comes_before_its_cause,
    };
}

trap!(a_lower_position_that_commits_later_is_not_lost: ["low", "high"];
    by_position => ["high"], patient => ["high"]);
trap!(an_older_transaction_that_draws_later_loses_nothing: ["low", "high"];
    by_position => ["high"], watermark => ["high"]);
trap!(an_effect_never_comes_before_its_cause: ["cause", "effect"];
    by_transaction => ["effect", "cause"]);
trap!(a_long_transaction_that_writes_no_events_stalls_nobody: ["event"];
    watermark => [], by_transaction => []);

/// What was rolled back is a gap for ever, and is passed over as soon as nobody can fill it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_of_a_rollback_is_passed_over() {
    postgres(|store| async move {
        let mut subscription = store.subscribe(0);
        let mut t = begin(&store).await;
        append(&store, &mut t, "a", "lost").await;
        let mut other = begin(&store).await;
        append(&store, &mut other, "b", "kept").await;
        other.commit().await.unwrap();
        while !subscription.is_waiting() {
            let early = tokio::time::timeout(Duration::from_millis(10), subscription.next_batch()).await;
            assert!(early.is_err(), "the gap may still be filled");
        }
        t.rollback().await.unwrap();
        assert_eq!(follow(&mut subscription, 1).await[0].event_type, "kept");
    })
    .await;
}

/// Writers overlap all the time, so that the lock is never free; the gap's own writer is gone soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_writers_are_not_waited_for() {
    postgres(|store| async move {
        let mut subscription = store.subscribe(0);
        let mut gone = begin(&store).await;
        append(&store, &mut gone, "a", "lost").await;
        let mut kept = begin(&store).await;
        append(&store, &mut kept, "b", "kept").await;
        kept.commit().await.unwrap();
        while !subscription.is_waiting() {
            let early = tokio::time::timeout(Duration::from_millis(10), subscription.next_batch()).await;
            assert!(early.is_err(), "the gap may still be filled");
        }
        let mut later = begin(&store).await;
        append(&store, &mut later, "c", "later").await;
        gone.rollback().await.unwrap();
        assert_eq!(
            follow(&mut subscription, 1).await[0].event_type,
            "kept",
            "although `later` is still writing"
        );
        later.commit().await.unwrap();
        assert_eq!(follow(&mut subscription, 1).await[0].event_type, "later");
    })
    .await;
}

/// Without the lock that writers share, ours would be a liar too: an insert that does not take it is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_takes_no_lock_is_lost() {
    postgres(|store| async move {
        let mut subscription = store.subscribe(0);
        let mut bare = begin(&store).await;
        let insert = "insert into anybroker_events (stream, version, event_id, type, schema_version, occurred_at, data) \
                      values ('x', 1, gen_random_uuid(), 'bare', 1, 0, '')";
        sqlx::query(insert).execute(&mut *bare).await.unwrap();
        let mut t = begin(&store).await;
        append(&store, &mut t, "b", "high").await;
        t.commit().await.unwrap();
        assert_eq!(follow(&mut subscription, 1).await[0].event_type, "high");
        bare.commit().await.unwrap();
        let lost = tokio::time::timeout(Duration::from_millis(200), subscription.next_batch()).await;
        assert!(lost.is_err());
    })
    .await;
}

/// A savepoint that is rolled back gives the lock back, and what it had drawn with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_savepoint_that_is_rolled_back_is_a_gap() {
    use sqlx::Connection;
    postgres(|store| async move {
        let mut t = begin(&store).await;
        let mut inner = t.begin().await.unwrap();
        store.append(&mut inner, "a", Expected::Any, &[event("undone")]).await.unwrap();
        inner.rollback().await.unwrap();
        append(&store, &mut t, "a", "done").await;
        let mut other = begin(&store).await;
        append(&store, &mut other, "b", "other").await;
        other.commit().await.unwrap();
        let mut subscription = store.subscribe(0);
        assert!(tokio::time::timeout(Duration::from_millis(200), subscription.next_batch()).await.is_err());
        t.commit().await.unwrap();
        let seen: Vec<_> = follow(&mut subscription, 2).await.into_iter().map(kind).collect();
        assert_eq!(seen, ["done", "other"]);
    })
    .await;
}

/// Many events take another way into the table than few; their order is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_at_once_fall_into_no_trap() {
    const MANY: usize = 300;
    postgres(|store| async move {
        let many = |name: &str| vec![event(name); MANY];
        let (mut first, mut second, mut third) =
            (begin(&store).await, begin(&store).await, begin(&store).await);
        store.append(&mut first, "a", Expected::NoStream, &many("low")).await.unwrap();
        store.append(&mut third, "c", Expected::NoStream, &many("gone")).await.unwrap();
        store.append(&mut second, "b", Expected::NoStream, &many("high")).await.unwrap();
        second.commit().await.unwrap();
        let mut subscription = store.subscribe(0);
        let early = tokio::time::timeout(Duration::from_millis(100), subscription.next_batch()).await;
        assert!(early.is_err(), "{early:?}");
        first.commit().await.unwrap();
        third.rollback().await.unwrap();
        let all = follow(&mut subscription, 2 * MANY).await;
        assert!(all.is_sorted_by_key(|event| event.position));
        let low = all.iter().take_while(|event| event.event_type == "low").count();
        let high = all.iter().filter(|event| event.event_type == "high").count();
        assert_eq!((low, high), (MANY, MANY));
        assert!(all.iter().zip((1..=MANY as u64).cycle()).all(|(event, version)| event.version == version));
    })
    .await;
}
