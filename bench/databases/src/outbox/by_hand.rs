//! The usual loop: select a hundred rows, publish one, mark one, and so on.

use std::time::Instant;

use anybroker::{Broker, Message, PublisherExt as _, PublisherOptions, SharedPublisher, Topic};
use async_trait::async_trait;
use sqlx::{PgPool, Row as _};

use super::Way;
use crate::{Result, postgres};

pub(super) struct ByHand {
    pool: PgPool,
    publisher: SharedPublisher,
}

impl ByHand {
    pub(super) async fn open(url: &str, broker: &Broker, topic: &Topic) -> Result<Self> {
        let pool = postgres::ours(url).await?;
        sqlx::query(
            "create table bench.rows_by_hand (id bigserial primary key, key text not null, payload bytea not null, \
             published boolean not null default false)",
        )
        .execute(&pool)
        .await?;
        let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
        Ok(ByHand { pool, publisher })
    }
}

#[async_trait]
impl Way for ByHand {
    fn name(&self) -> &'static str {
        "by hand, one by one"
    }

    async fn fill(&self) -> Result<()> {
        sqlx::query("truncate bench.rows_by_hand").execute(&self.pool).await?;
        sqlx::query(
            "insert into bench.rows_by_hand (key, payload) select 'key-' || n % 1000, \
             convert_to(repeat('x', 128), 'UTF8') from generate_series(1, 50000) n",
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn relay(&self, until: Instant) -> Result<u64> {
        let mut relayed = 0;
        loop {
            let rows = sqlx::query(
                "select id, key, payload from bench.rows_by_hand where not published order by id limit 100",
            )
            .fetch_all(&self.pool)
            .await?;
            for row in rows {
                if Instant::now() >= until {
                    return Ok(relayed);
                }
                let message = Message::new(row.try_get::<Vec<u8>, _>("payload")?);
                self.publisher.publish(message.with_key(row.try_get::<String, _>("key")?)).await?;
                sqlx::query("update bench.rows_by_hand set published = true where id = $1")
                    .bind(row.try_get::<i64, _>("id")?)
                    .execute(&self.pool)
                    .await?;
                relayed += 1;
            }
        }
    }
}
