//! The inbox on SQLite.

use std::time::Duration;

use anybroker_core::{Group, MessageId, Result};
use anybroker_worker::{Begin, IdempotencyStore};
use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::{INBOX, Store};
use crate::database::{Sqlite, typed};

/// The milliseconds since 1970.
const NOW: &str = "cast(unixepoch('subsec') * 1000 as integer)";

impl Sqlite {
    fn inbox(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(INBOX.fill(&self.names, sql).replace("{now}", NOW))
    }
}

#[async_trait]
impl Store for Sqlite {
    type Connection = SqliteConnection;

    async fn check(&self) -> Result<()> {
        Sqlite::check(self, &INBOX).await
    }

    async fn note(&self, connection: &mut SqliteConnection, consumer: &str, id: &str) -> Result<bool> {
        // What somebody has only claimed has not taken effect yet: whoever commits first has done it.
        let sql = self.inbox(
            "insert into {inbox} as i (consumer, message_id) values (?, ?) on conflict (consumer, message_id)
             do update set claimed_until = null, at = excluded.at where i.claimed_until is not null",
        );
        let noted = sqlx::query(sql).bind(consumer).bind(id).execute(connection).await;
        noted.map(|done| done.rows_affected() > 0).map_err(|error| typed("note a message", error))
    }

    async fn forget(&self, age: Duration, most: u32) -> Result<u64> {
        let sql = self.inbox(
            "delete from {inbox} where (consumer, message_id) in
             (select consumer, message_id from {inbox} where at < {now} - ? order by at limit ?)",
        );
        let gone = sqlx::query(sql).bind(millis(age)).bind(most).execute(&self.pool).await;
        gone.map(|done| done.rows_affected()).map_err(|error| typed("forget messages", error))
    }
}

#[async_trait]
impl IdempotencyStore for Sqlite {
    async fn begin(&self, group: &Group, id: &MessageId, lease: Duration) -> Result<Begin> {
        let failed = |error| typed("claim a message", error);
        let claim = self.inbox(
            "insert into {inbox} as i (consumer, message_id, claimed_until) values (?, ?, {now} + ?)
             on conflict (consumer, message_id)
             do update set claimed_until = excluded.claimed_until where i.claimed_until < {now}",
        );
        let claim = sqlx::query(claim).bind(group.as_str()).bind(id.to_string()).bind(millis(lease));
        if claim.execute(&self.pool).await.map_err(failed)?.rows_affected() > 0 {
            return Ok(Begin::Claimed);
        }
        let left =
            self.inbox("select claimed_until - {now} from {inbox} where consumer = ? and message_id = ?");
        let left = sqlx::query_scalar(left).bind(group.as_str()).bind(id.to_string());
        Ok(match left.fetch_optional(&self.pool).await.map_err(failed)? {
            Some(None) => Begin::Done,
            Some(Some(left)) => Begin::InWork(Duration::from_millis(i64::max(left, 0) as u64)),
            // It was given up at this moment.
            None => Begin::InWork(Duration::ZERO),
        })
    }

    async fn complete(&self, group: &Group, id: &MessageId) -> Result<()> {
        let done =
            self.inbox("update {inbox} set claimed_until = null where consumer = ? and message_id = ?");
        let done = sqlx::query(done).bind(group.as_str()).bind(id.to_string()).execute(&self.pool).await;
        done.map(drop).map_err(|error| typed("note a message", error))
    }

    async fn abandon(&self, group: &Group, id: &MessageId) -> Result<()> {
        let gone = self
            .inbox("delete from {inbox} where consumer = ? and message_id = ? and claimed_until is not null");
        let gone = sqlx::query(gone).bind(group.as_str()).bind(id.to_string()).execute(&self.pool).await;
        gone.map(drop).map_err(|error| typed("give up a message", error))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2)
}
