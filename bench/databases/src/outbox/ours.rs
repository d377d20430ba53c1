//! anybroker's relay: in order per key, whole batches at a time.

use std::time::Instant;

use anybroker::patterns::database::{Names, Postgres};
use anybroker::patterns::outbox::{Relay, RelayOptions};
use anybroker::{Broker, Topic};
use async_trait::async_trait;
use sqlx::AssertSqlSafe;

use super::Way;
use crate::{Result, postgres};

pub(super) struct Ours {
    database: Postgres,
    broker: Broker,
    topic: Topic,
}

impl Ours {
    pub(super) async fn open(url: &str, broker: &Broker, topic: &Topic) -> Result<Self> {
        let names = Names::new("relay_")?.in_schema(postgres::SCHEMA)?;
        let database = Postgres::connect(url).await?.with_names(names);
        database.migrate().await?;
        Ok(Ours { database, broker: broker.clone(), topic: topic.clone() })
    }
}

#[async_trait]
impl Way for Ours {
    fn name(&self) -> &'static str {
        "anybroker, in order per key"
    }

    async fn fill(&self) -> Result<()> {
        let table = self.database.names().table("outbox");
        let pool = self.database.pool();
        sqlx::query(AssertSqlSafe(format!("truncate {table}"))).execute(pool).await?;
        // By the shortest way: staging is not what is measured.
        let fill = format!(
            "insert into {table} (lane, topic, key, message_id, payload) select (n % 1000) % 16, $1, \
             convert_to('key-' || n % 1000, 'UTF8'), gen_random_uuid()::text, convert_to(repeat('x', 128), 'UTF8') \
             from generate_series(1, 500000) n"
        );
        sqlx::query(AssertSqlSafe(fill)).bind(self.topic.as_str()).execute(pool).await?;
        // What filling leaves to be done, the server would do while it is measured.
        for rest in [format!("vacuum (analyze) {table}"), "checkpoint".to_owned()] {
            sqlx::query(AssertSqlSafe(rest)).execute(pool).await?;
        }
        Ok(())
    }

    async fn relay(&self, until: Instant) -> Result<u64> {
        let relay = Relay::open(self.database.clone(), self.broker.clone(), RelayOptions::default()).await?;
        let progress = relay.progress();
        relay.run(tokio::time::sleep_until(until.into())).await?;
        Ok(progress.published())
    }
}
