//! The run: which it is, how far it is, how often it was cut off.

use std::time::{SystemTime, UNIX_EPOCH};

use anybroker::patterns::event_store::Connection;
use anybroker::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

use crate::database::{Database, Value, commit};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Part of the names of its topics and groups.
    pub(crate) id: String,
    /// The broker that has them.
    pub(crate) broker: String,
    pub(crate) orders: u32,
    pub(crate) phase: Phase,
    /// How often it was cut off and continued.
    pub(crate) resumed: u32,
    /// How many orders were placed.
    pub(crate) placed: u32,
    /// How many messages nobody could handle; known when it is finished.
    pub(crate) dead_letters: u64,
}

/// How far a run is. Each phase can be done again from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// The topics are being created.
    Declaring,
    /// The services are at work.
    Running,
    /// They are done; the topics are being deleted.
    Finished,
    /// There is nothing left to do.
    Done,
}

impl Run {
    /// The run that the database holds.
    pub(crate) async fn found<D: Database>(database: &D) -> Result<Option<Run>> {
        let found = database.texts("select state from {run}").await?.pop();
        let unreadable = |error| {
            let error = Error::new(Kind::Decode, "orders", "the run's row does not read").with_source(error);
            error.advice(
                "another version of this program wrote it: choose another database, or delete that one",
            )
        };
        found.map(|text| serde_json::from_str(&text).map_err(unreadable)).transpose()
    }

    /// A new run; forgets everything of the one before it.
    pub(crate) async fn start<D: Database>(database: &D, broker: &str, orders: u32) -> Result<Run> {
        database.clear().await?;
        database.prepare().await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let (id, broker) = (format!("{now:x}"), broker.to_owned());
        let run = Run { id, broker, orders, phase: Phase::Declaring, resumed: 0, placed: 0, dead_letters: 0 };
        run.save(database).await?;
        Ok(run)
    }

    /// Notes that this process continues it.
    pub(crate) async fn resume<D: Database>(&mut self, database: &D) -> Result<()> {
        self.resumed += 1;
        self.save(database).await
    }

    pub(crate) async fn enter<D: Database>(&mut self, database: &D, phase: Phase) -> Result<()> {
        self.phase = phase;
        self.save(database).await
    }

    async fn save<D: Database>(&self, database: &D) -> Result<()> {
        let mut transaction = database.writing().await?;
        self.save_in(database, &mut transaction).await?;
        commit::<D>(transaction).await
    }

    /// Keeps it, in the caller's transaction.
    pub(crate) async fn save_in<D: Database>(
        &self,
        database: &D,
        connection: &mut Connection<D>,
    ) -> Result<()> {
        let state = Value::Text(serde_json::json!(self).to_string());
        database.change(connection, "delete from {run}", &[]).await?;
        database.change(connection, "insert into {run} (state) values ($1)", &[state]).await.map(drop)
    }

    /// Refuses to continue it on another broker than the one that has its messages.
    pub(crate) fn check_broker(&self, broker: &str) -> Result<()> {
        if self.broker == broker {
            return Ok(());
        }
        let text = format!("its run was cut off on {}, and this is {broker}", self.broker);
        let error = Error::new(Kind::InvalidConfiguration, "orders", text);
        Err(error.advice("set ANYBROKER_URL to that broker, or choose another database"))
    }
}
