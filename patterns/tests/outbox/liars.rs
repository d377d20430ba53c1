//! How an outbox is usually read, each way with what it loses or turns round. They read the same table as ours, so that the
//! traps that they fall into are seen to be there.

use anybroker_patterns::database::Postgres;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

/// What a way of reading found since it last looked, in the order in which it would publish.
#[async_trait::async_trait]
pub(crate) trait Reader: Send {
    async fn read(&mut self) -> Vec<String>;
}

/// Everything after the highest id so far, as most outboxes do.
pub(crate) struct AfterTheHighest(pub(crate) Postgres, pub(crate) i64);

#[async_trait::async_trait]
impl Reader for AfterTheHighest {
    async fn read(&mut self) -> Vec<String> {
        after(&self.0, &mut self.1, "true", "id").await
    }
}

/// Only what is older than every transaction under way, but still after the highest id so far.
pub(crate) struct AfterTheHighestOfTheSettled(pub(crate) Postgres, pub(crate) i64);

#[async_trait::async_trait]
impl Reader for AfterTheHighestOfTheSettled {
    async fn read(&mut self) -> Vec<String> {
        after(&self.0, &mut self.1, SETTLED, "id").await
    }
}

/// Only what is older than every transaction under way, in the order of the transactions' numbers.
pub(crate) struct ByTransaction(pub(crate) Postgres, pub(crate) i64);

#[async_trait::async_trait]
impl Reader for ByTransaction {
    async fn read(&mut self) -> Vec<String> {
        after(&self.0, &mut self.1, SETTLED, "xmin::text::bigint, id").await
    }
}

const SETTLED: &str = "xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint";

async fn after(database: &Postgres, highest: &mut i64, which: &str, order: &str) -> Vec<String> {
    let sql = format!(
        "select id, convert_from(payload, 'UTF8') from {} where id > $1 and {which} order by {order}",
        database.names().table("outbox")
    );
    let rows: Vec<(i64, String)> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(*highest).fetch_all(database.pool()).await.unwrap();
    *highest = rows.iter().map(|(id, _)| *id).max().unwrap_or(*highest);
    rows.into_iter().map(|(_, payload)| payload).collect()
}

/// One row for each of several workers, whatever its key.
pub(crate) async fn next_unlocked(database: &Postgres, worker: &mut PgConnection) -> Option<String> {
    let sql = format!(
        "select convert_from(payload, 'UTF8') from {} order by id limit 1 for update skip locked",
        database.names().table("outbox")
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_optional(worker).await.unwrap()
}
