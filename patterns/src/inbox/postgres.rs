//! The inbox on PostgreSQL.

use std::time::Duration;

use anybroker_core::{Group, MessageId, Result};
use anybroker_worker::{Begin, IdempotencyStore};
use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::{INBOX, Store};
use crate::database::{Postgres, typed};

impl Postgres {
    fn inbox(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(INBOX.fill(&self.names, sql))
    }
}

#[async_trait]
impl Store for Postgres {
    type Connection = PgConnection;

    async fn check(&self) -> Result<()> {
        Postgres::check(self, &INBOX).await
    }

    async fn note(&self, connection: &mut PgConnection, consumer: &str, id: &str) -> Result<bool> {
        // What somebody has only claimed has not taken effect yet: whoever commits first has done it.
        let sql = self.inbox(
            "insert into {inbox} (consumer, message_id) values ($1, $2) on conflict (consumer, message_id)
             do update set claimed_until = null, at = excluded.at where {inbox}.claimed_until is not null",
        );
        let noted = sqlx::query(sql).bind(consumer).bind(id).execute(connection).await;
        noted.map(|done| done.rows_affected() > 0).map_err(|error| typed("note a message", error))
    }

    async fn forget(&self, age: Duration, most: u32) -> Result<u64> {
        let sql = self.inbox(
            "delete from {inbox} where ctid = any(array(select ctid from {inbox}
             where at < clock_timestamp() - make_interval(secs => $1) order by at limit $2))",
        );
        let gone = sqlx::query(sql).bind(age.as_secs_f64()).bind(i64::from(most)).execute(&self.pool).await;
        gone.map(|done| done.rows_affected()).map_err(|error| typed("forget messages", error))
    }
}

#[async_trait]
impl IdempotencyStore for Postgres {
    async fn begin(&self, group: &Group, id: &MessageId, lease: Duration) -> Result<Begin> {
        let failed = |error| typed("claim a message", error);
        let claim = self.inbox(
            "insert into {inbox} (consumer, message_id, claimed_until)
             values ($1, $2, clock_timestamp() + make_interval(secs => $3)) on conflict (consumer, message_id)
             do update set claimed_until = excluded.claimed_until where {inbox}.claimed_until < clock_timestamp()",
        );
        let claim = sqlx::query(claim).bind(group.as_str()).bind(id.to_string()).bind(lease.as_secs_f64());
        if claim.execute(&self.pool).await.map_err(failed)?.rows_affected() > 0 {
            return Ok(Begin::Claimed);
        }
        let left = self.inbox(
            "select extract(epoch from claimed_until - clock_timestamp())::float8 from {inbox}
             where consumer = $1 and message_id = $2",
        );
        let left = sqlx::query_scalar(left).bind(group.as_str()).bind(id.to_string());
        Ok(match left.fetch_optional(&self.pool).await.map_err(failed)? {
            Some(None) => Begin::Done,
            Some(Some(left)) => Begin::InWork(Duration::from_secs_f64(f64::max(left, 0.0))),
            // It was given up at this moment.
            None => Begin::InWork(Duration::ZERO),
        })
    }

    async fn complete(&self, group: &Group, id: &MessageId) -> Result<()> {
        let done =
            self.inbox("update {inbox} set claimed_until = null where consumer = $1 and message_id = $2");
        let done = sqlx::query(done).bind(group.as_str()).bind(id.to_string()).execute(&self.pool).await;
        done.map(drop).map_err(|error| typed("note a message", error))
    }

    async fn abandon(&self, group: &Group, id: &MessageId) -> Result<()> {
        let gone = self.inbox(
            "delete from {inbox} where consumer = $1 and message_id = $2 and claimed_until is not null",
        );
        let gone = sqlx::query(gone).bind(group.as_str()).bind(id.to_string()).execute(&self.pool).await;
        gone.map(drop).map_err(|error| typed("give up a message", error))
    }
}
