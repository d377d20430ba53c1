//! Events from JSON Lines.

use std::pin::pin;

use anybroker_core::{Error, Kind, Result};
use futures::{Stream, StreamExt};

use super::event::check_name;
use super::line::Line;
use super::{AppendError, EventStore, Expected, NewEvent, Store, Transaction};

/// Events of one statement.
const RUN: usize = 500;

/// Following events of one stream.
#[derive(Default)]
struct Run {
    line: usize,
    stream: String,
    base: u64,
    events: Vec<NewEvent>,
}

impl Run {
    fn takes(&self, stream: &str, version: u64) -> bool {
        self.stream == stream
            && version == self.base + self.events.len() as u64 + 1
            && self.events.len() < RUN
    }
}

impl<D: Store> EventStore<D> {
    /// Appends the events of an export in their order, and archives what was archived; gives the number of events. They keep
    /// everything but their positions. It is one transaction: everything or nothing. Subscribers wait for it to end.
    ///
    /// ```
    /// # use anybroker_patterns::database::Sqlite;
    /// # use anybroker_patterns::event_store::EventStore;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let directory = tempfile::tempdir()?;
    /// # let database = Sqlite::open(directory.path().join("shop.db")).await?;
    /// # database.migrate().await?;
    /// # let store = EventStore::open(database).await?;
    /// use std::io::BufRead;
    /// let file = std::io::Cursor::new("{\"kind\":\"event\",\"stream\":\"order-7\"}\n");
    /// let error = store.import(futures::stream::iter(file.lines())).await.unwrap_err();
    /// assert!(error.to_string().contains("line 1"), "{error}");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `Decode` names the first line that is none of an export, or whose event does not follow on what the stream has;
    /// nothing was changed.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing, or everything.
    pub async fn import(&self, lines: impl Stream<Item = std::io::Result<String>> + Send) -> Result<u64> {
        let mut lines = pin!(lines.enumerate());
        let mut transaction = self.begin().await?;
        let (mut run, mut count) = (Run::default(), 0);
        while let Some((at, text)) = lines.next().await {
            let line = at + 1;
            let text = text.map_err(|error| bad(line, "it cannot be read").with_source(error))?;
            if text.trim().is_empty() {
                continue;
            }
            match serde_json::from_str(&text).map_err(|error| bad(line, &error.to_string()))? {
                Line::Event(event) => {
                    let (stream, version, event) = event.into_event().map_err(|text| bad(line, &text))?;
                    check_name("stream name", &stream)
                        .and_then(|()| event.validate())
                        .map_err(|e| bad(line, &e.to_string()))?;
                    if !run.takes(&stream, version) {
                        self.write(&mut transaction, &run).await?;
                        let base =
                            version.checked_sub(1).ok_or_else(|| bad(line, "versions begin with 1"))?;
                        run = Run { line, stream, base, events: Vec::new() };
                    }
                    run.events.push(event);
                    count += 1;
                }
                Line::Archived { stream, archived_at } => {
                    self.write(&mut transaction, &std::mem::take(&mut run)).await?;
                    if !self.database.archive(&mut transaction, &stream, Some(archived_at)).await? {
                        return Err(bad(line, &format!("there is no stream `{stream}`")));
                    }
                }
            }
        }
        self.write(&mut transaction, &run).await?;
        transaction.commit().await.map_err(|error| crate::database::typed("commit", error))?;
        Ok(count)
    }

    async fn write(&self, transaction: &mut Transaction<D>, run: &Run) -> Result<()> {
        if run.events.is_empty() {
            return Ok(());
        }
        match self.append(transaction, &run.stream, Expected::Version(run.base), &run.events).await {
            Ok(_) => Ok(()),
            Err(AppendError::Failed(error)) => Err(error),
            Err(AppendError::Conflict { stream, actual, .. }) => {
                let text =
                    format!("it is event {} of stream `{stream}`, which has {actual} here", run.base + 1);
                Err(bad(run.line, &text))
            }
            Err(refused) => Err(bad(run.line, &refused.to_string())),
        }
    }
}

fn bad(line: usize, text: &str) -> Error {
    Error::new(Kind::Decode, "import", format!("line {line}: {text}")).advice("nothing was imported")
}
