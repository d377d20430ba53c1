//! `backbone-outbox`: its `drain_once`, which publishes and marks one row after the other.

use std::time::Instant;

use anybroker::{Broker, Message, PublisherExt as _, PublisherOptions, SharedPublisher, Topic};
use async_trait::async_trait;
use backbone_outbox::OutboxError;
use sqlx_of_peers::PgPool;

use super::Way;
use crate::{Result, postgres};

/// A schema, which its tables' names do not share with others.
const SCHEMA: &str = "bench";

pub(super) struct Backbone {
    pool: PgPool,
    publisher: SharedPublisher,
}

impl Backbone {
    pub(super) async fn open(url: &str, broker: &Broker, topic: &Topic) -> Result<Self> {
        let pool = postgres::of_peers(url).await?;
        backbone_outbox::outbox::migrate(&pool, SCHEMA).await?;
        let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
        Ok(Backbone { pool, publisher })
    }
}

#[async_trait]
impl Way for Backbone {
    fn name(&self) -> &'static str {
        "backbone-outbox 3"
    }

    async fn fill(&self) -> Result<()> {
        sqlx_of_peers::query("truncate bench.outbox_events").execute(&self.pool).await?;
        sqlx_of_peers::query(
            "insert into bench.outbox_events (id, event_type, aggregate_type, aggregate_id, company_id, payload, \
             occurred_at, version) select gen_random_uuid(), 'placed', 'order', 'key-' || n % 1000, gen_random_uuid(), \
             to_jsonb(repeat('x', 126)), now(), 1 from generate_series(1, 50000) n",
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn relay(&self, until: Instant) -> Result<u64> {
        let mut relayed = 0;
        while Instant::now() < until {
            let publish = async |record: backbone_outbox::OutboxRecord| {
                let message = Message::new(record.payload.to_string()).with_key(record.aggregate_id);
                let published = self.publisher.publish(message).await;
                published.map(drop).map_err(|error| OutboxError::Publish(error.to_string()))
            };
            relayed += backbone_outbox::relay::drain_once(&self.pool, SCHEMA, 100, publish).await? as u64;
        }
        Ok(relayed)
    }
}
