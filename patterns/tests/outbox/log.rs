//! The outbox in PostgreSQL's log: what holds for the table holds for it.

use std::panic::AssertUnwindSafe;

use anybroker_core::Kind;
use anybroker_patterns::database::Postgres;
use anybroker_patterns::outbox::{
    Batch, Finished, Limit, Outbox, PostgresLog, Quarantined, Row, Status, Store,
};
use futures::FutureExt;
use futures::stream::BoxStream;

use crate::support::{Database, numbered, outbox, postgres, topic, until};

/// The log, and the database for the tests' own statements.
#[derive(Clone, Debug)]
struct Log(PostgresLog, Postgres);

#[async_trait::async_trait]
impl Store for Log {
    type Connection = <PostgresLog as Store>::Connection;
    type Batch = <PostgresLog as Store>::Batch;

    async fn check(&self) -> anybroker_core::Result<()> {
        self.0.check().await
    }
    async fn stage(&self, connection: &mut Self::Connection, rows: Vec<Row>) -> anybroker_core::Result<()> {
        self.0.stage(connection, rows).await
    }
    async fn waiting(&self) -> anybroker_core::Result<Vec<u16>> {
        self.0.waiting().await
    }
    async fn take(
        &self,
        relay: &str,
        lanes: &[u16],
        limit: Limit,
    ) -> anybroker_core::Result<Option<Self::Batch>> {
        self.0.take(relay, lanes, limit).await
    }
    async fn wakes(&self) -> anybroker_core::Result<BoxStream<'static, u16>> {
        self.0.wakes().await
    }
    fn poll(&self) -> std::time::Duration {
        self.0.poll()
    }
    async fn status(&self) -> anybroker_core::Result<Status> {
        self.0.status().await
    }
    async fn quarantined(&self, after: i64, most: u32) -> anybroker_core::Result<Vec<Quarantined>> {
        self.0.quarantined(after, most).await
    }
    async fn retry(&self, id: i64) -> anybroker_core::Result<bool> {
        self.0.retry(id).await
    }
    async fn discard(&self, id: i64) -> anybroker_core::Result<bool> {
        self.0.discard(id).await
    }
}

#[async_trait::async_trait]
impl Database for Log {
    type Transaction = <Postgres as Database>::Transaction;
    const KILLS: usize = 20;
    const LEASED: bool = false;

    async fn transaction(&self) -> Self::Transaction {
        self.1.transaction().await
    }
    fn connection(transaction: &mut Self::Transaction) -> &mut Self::Connection {
        transaction
    }
    async fn commit(transaction: Self::Transaction) {
        Postgres::commit(transaction).await;
    }
    async fn rollback(transaction: Self::Transaction) {
        Postgres::rollback(transaction).await;
    }
    async fn run(&self, sql: &str) -> u64 {
        self.1.run(sql).await
    }
    async fn count(&self, sql: &str) -> i64 {
        self.1.count(sql).await
    }
}

/// A slot of its own, removed in the end however the test ends: a server has few, and keeps its log for each.
async fn log<F: Future<Output = ()>>(test: impl FnOnce(Log) -> F) {
    postgres(async |database| {
        let log = PostgresLog::new(database.clone());
        log.create().await.unwrap();
        let ended = AssertUnwindSafe(test(Log(log.clone(), database))).catch_unwind().await;
        // What the test left running may have the slot still.
        until(|| async { log.remove().await.is_ok() }).await;
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    })
    .await;
}

macro_rules! on_the_log {
    ($($module:ident::$name:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() { log(crate::$module::$name).await })*
    };
}

on_the_log!(
    basics::what_is_committed_is_published_whole,
    basics::nothing_is_published_that_was_rolled_back,
    basics::a_batch_keeps_its_order,
    basics::the_table_is_empty_afterwards,
    crash::a_crash_anywhere_loses_nothing,
    quarantine::a_bad_row_is_set_aside_with_what_follows_it,
    quarantine::a_discarded_row_lets_the_others_go,
    relays::relays_share_the_work_and_keep_the_order,
    relays::another_relay_takes_over,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_slot_nothing_can_be_staged_and_no_relay_starts() {
    postgres(async |database| {
        let log = PostgresLog::new(database.clone());
        assert_eq!(log.check().await.unwrap_err().kind(), Kind::InvalidConfiguration);
        let mut transaction = database.transaction().await;
        let outbox = Outbox::new(log, topic());
        let refused = outbox.stage(&mut transaction, numbered("k", 0)).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound, "{refused}");
        assert!(refused.to_string().contains("PostgresLog::create"), "{refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_does_not_come_again_while_something_before_it_waits() {
    log(async |log| {
        for number in 0..3 {
            let mut transaction = log.transaction().await;
            outbox(&log).stage(&mut transaction, numbered(&format!("k{number}"), number)).await.unwrap();
            Log::commit(transaction).await;
        }
        // Others' entries, of tests beside this one, count as well.
        let limit = Limit { rows: 10_000, bytes: 1 << 20 };
        let mut batch = log.take("r", &[0], limit).await.unwrap().unwrap();
        let mut rows: Vec<_> = batch.rows().into_iter().map(|taken| taken.row).collect();
        let done = rows.split_off(1).iter().map(|row| row.id).collect();
        batch.finish(Finished { done, back: rows, ..Finished::default() }).await.unwrap();
        assert_eq!(log.status().await.unwrap().backlog, 1);
        let mut batch = log.take("r", &[0], limit).await.unwrap().unwrap();
        let again = batch.rows();
        assert_eq!(again.iter().map(|taken| &taken.row.payload[..]).collect::<Vec<_>>(), [b"0"]);
        let done = again.iter().map(|taken| taken.row.id).collect();
        batch.finish(Finished { done, ..Finished::default() }).await.unwrap();
        assert!(log.take("r", &[0], limit).await.unwrap().is_none());
        assert_eq!(log.status().await.unwrap().backlog, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_others_is_let_go() {
    log(async |log| {
        let confirmed =
            "select (confirmed_flush_lsn - '0/0')::bigint from pg_replication_slots where slot_name = 'SLOT'";
        let confirmed = confirmed.replace("SLOT", &log.0.slot());
        log.run("select pg_logical_emit_message(true, 'others', repeat('x', 1000000))").await;
        let there = log.count("select (pg_current_wal_flush_lsn() - '0/0')::bigint").await;
        assert!(log.count(&confirmed).await < there);
        let limit = Limit { rows: 10, bytes: 1 << 20 };
        assert!(log.take("r", &[0], limit).await.unwrap().is_none(), "nothing of ours");
        assert!(log.count(&confirmed).await >= there);
        // More of them than a batch has hide nothing. And a batch that is given up leaves everything as it was.
        for _ in 0..30 {
            log.run("select pg_logical_emit_message(true, 'others', 'x')").await;
        }
        let mut transaction = log.transaction().await;
        outbox(&log).stage(&mut transaction, numbered("k", 0)).await.unwrap();
        Log::commit(transaction).await;
        let batch = log.take("r", &[0], limit).await.unwrap().unwrap();
        assert!(log.take("s", &[0], limit).await.unwrap().is_none(), "one relay at a time");
        drop(batch);
        let mut again = None;
        until(|| async { log.waiting().await.unwrap() == [0] }).await;
        while again.is_none() {
            again = log.take("s", &[0], limit).await.unwrap();
        }
        let mut again = again.unwrap();
        let id = again.rows()[0].row.id;
        again.finish(Finished { done: vec![id], ..Finished::default() }).await.unwrap();
        assert_eq!(log.status().await.unwrap().backlog, 0);
    })
    .await;
}
