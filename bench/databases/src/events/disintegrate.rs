//! `disintegrate`: an append fails if its query has more events than the caller has seen.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use disintegrate::serde::json::Json;
use disintegrate::{Event, EventStore, query};
use disintegrate_postgres::{Error, PgEventStore};
use serde::{Deserialize, Serialize};

use super::{DATA, Way};
use crate::{Result, postgres};

#[derive(Clone, Debug, Serialize, Deserialize, Event)]
enum OrderEvent {
    Placed {
        #[id]
        stream: String,
        data: String,
    },
}

pub(super) struct Disintegrate {
    store: PgEventStore<OrderEvent, Json<OrderEvent>>,
    /// The last event that each stream's writer has seen.
    seen: Mutex<HashMap<String, i64>>,
}

impl Disintegrate {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let store = PgEventStore::try_new(postgres::of_peers(url).await?, Json::default()).await?;
        Ok(Disintegrate { store, seen: Mutex::default() })
    }
}

#[async_trait]
impl Way for Disintegrate {
    fn name(&self) -> &'static str {
        "disintegrate 4"
    }

    async fn append(&self, stream: &str, _: u64, count: u64) -> Result<()> {
        let seen = |streams: &Mutex<HashMap<String, i64>>| {
            streams.lock().unwrap_or_else(PoisonError::into_inner).get(stream).copied().unwrap_or(0)
        };
        let event = OrderEvent::Placed { stream: stream.to_owned(), data: DATA.to_owned() };
        loop {
            let query = query!(OrderEvent; stream == stream.to_owned());
            match self.store.append(vec![event.clone(); count as usize], query, seen(&self.seen)).await {
                Ok(stored) => {
                    let last = stored.last().map_or(0, |event| event.id());
                    self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.to_owned(), last);
                    return Ok(());
                }
                // Its transactions are serializable: those of other streams are in its way too, and it is to be tried again.
                Err(Error::Concurrency) => {}
                Err(Error::Database(error)) if is_serialization(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn is_serialization(error: &sqlx_of_peers::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "40001")
}
