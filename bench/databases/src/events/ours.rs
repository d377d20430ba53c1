//! anybroker's event store: an append in a transaction of its own, and by the appender that many tasks share.

use anybroker::patterns::database::{Names, Postgres};
use anybroker::patterns::event_store::{Appender, AppenderOptions, EventStore, Expected, NewEvent};
use async_trait::async_trait;

use super::{DATA, Way};
use crate::{Result, postgres};

async fn open(url: &str, prefix: &str) -> Result<EventStore<Postgres>> {
    let names = Names::new(prefix)?.in_schema(postgres::SCHEMA)?;
    let database = Postgres::connect(url).await?.with_names(names);
    database.migrate().await?;
    Ok(EventStore::open(database).await?)
}

fn events(count: u64) -> Vec<NewEvent> {
    vec![NewEvent::new("order.placed", 1, DATA); count as usize]
}

pub(super) struct Store(EventStore<Postgres>);

impl Store {
    pub(super) async fn open(url: &str) -> Result<Self> {
        Ok(Store(open(url, "store_").await?))
    }
}

#[async_trait]
impl Way for Store {
    fn name(&self) -> &'static str {
        "anybroker, a transaction each"
    }

    async fn append(&self, stream: &str, version: u64, count: u64) -> Result<()> {
        let mut transaction = self.0.begin().await?;
        self.0.append(&mut transaction, stream, Expected::Version(version), &events(count)).await?;
        transaction.commit().await?;
        Ok(())
    }
}

pub(super) struct Shared(Appender);

impl Shared {
    pub(super) async fn open(url: &str) -> Result<Self> {
        Ok(Shared(open(url, "shared_").await?.appender(AppenderOptions::default())))
    }
}

#[async_trait]
impl Way for Shared {
    fn name(&self) -> &'static str {
        "anybroker, an appender"
    }

    async fn append(&self, stream: &str, version: u64, count: u64) -> Result<()> {
        self.0.append(stream, Expected::Version(version), events(count)).await?;
        Ok(())
    }
}
