//! As it is written by hand: a plain table whose unique index finds conflicts, a statement for each event.

use async_trait::async_trait;
use sqlx::PgPool;

use super::{DATA, Way};
use crate::{Result, postgres};

pub(super) struct ByHand(PgPool);

impl ByHand {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let pool = postgres::ours(url).await?;
        sqlx::query(
            "create table bench.by_hand (position bigserial primary key, stream text not null, version bigint not null, \
             type text not null, data bytea not null, unique (stream, version))",
        )
        .execute(&pool)
        .await?;
        Ok(ByHand(pool))
    }
}

#[async_trait]
impl Way for ByHand {
    fn name(&self) -> &'static str {
        "by hand, a transaction each"
    }

    async fn append(&self, stream: &str, version: u64, events: u64) -> Result<()> {
        let mut transaction = self.0.begin().await?;
        for at in version..version + events {
            sqlx::query("insert into bench.by_hand (stream, version, type, data) values ($1, $2, $3, $4)")
                .bind(stream)
                .bind(at as i64)
                .bind("order.placed")
                .bind(DATA.as_bytes())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
