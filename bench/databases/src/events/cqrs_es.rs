//! `cqrs-es` with `postgres-es`: its repository, which the framework's own store calls.

use std::convert::Infallible;

use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};

use super::{DATA, Way};
use crate::{Result, postgres};

#[derive(Default, Serialize, Deserialize)]
struct Order;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Placed;

impl DomainEvent for Placed {
    fn event_type(&self) -> String {
        "order.placed".into()
    }

    fn event_version(&self) -> String {
        "1".into()
    }
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = ();
    type Event = Placed;
    type Error = Infallible;
    type Services = ();

    async fn handle(&mut self, (): (), (): &(), _: &EventSink<Self>) -> Result<(), Infallible> {
        Ok(())
    }

    fn apply(&mut self, _: Placed) {}
}

pub(super) struct CqrsEs(PostgresEventRepository);

impl CqrsEs {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let pool = postgres::of_peers(url).await?;
        // The library's own, of its `db/init.sql`.
        sqlx_of_peers::query(
            "create table bench.cqrs_events (aggregate_type text not null, aggregate_id text not null, \
             sequence bigint check (sequence >= 0) not null, event_type text not null, event_version text not null, \
             payload json not null, metadata json not null, primary key (aggregate_type, aggregate_id, sequence))",
        )
        .execute(&pool)
        .await?;
        Ok(CqrsEs(
            PostgresEventRepository::new(pool).with_tables("bench.cqrs_events", "bench.cqrs_snapshots"),
        ))
    }
}

#[async_trait]
impl Way for CqrsEs {
    fn name(&self) -> &'static str {
        "cqrs-es 0.5, postgres-es 0.5"
    }

    async fn append(&self, stream: &str, version: u64, count: u64) -> Result<()> {
        let data: serde_json::Value = serde_json::from_str(DATA)?;
        let event = |at: u64| {
            let (of, version) = ("order.placed".to_owned(), "1".to_owned());
            SerializedEvent::new(
                stream.to_owned(),
                at as usize,
                Order::TYPE.to_owned(),
                of,
                version,
                data.clone(),
                serde_json::json!({}),
            )
        };
        let events: Vec<_> = (version + 1..=version + count).map(event).collect();
        self.0.persist::<Order>(&events, None).await?;
        Ok(())
    }
}
