//! All events as JSON Lines.

use std::collections::VecDeque;
use std::sync::Arc;

use anybroker_core::{Error, Kind, Result};
use futures::Stream;

use super::line::Line;
use super::reader::Reader;
use super::{EventStore, Filter, Store};

/// Archived streams of one reading.
const PAGE: usize = 500;

struct Export<D: Store> {
    reader: Reader<D>,
    /// The last position that is exported, once it is known.
    until: Option<u64>,
    /// The last archived stream that was written.
    archived: Option<String>,
    ready: VecDeque<Line>,
    done: bool,
}

impl<D: Store> EventStore<D> {
    /// Every event that is stored when it begins, in their order, as lines of JSON without line ends; then the streams that are
    /// archived. Events are written as they are stored, without upcasters. Snapshots are left out: they can be made again.
    pub fn export(&self) -> impl Stream<Item = Result<String>> + Send + use<D> {
        let raw = EventStore { upcasters: Arc::default(), ..self.clone() };
        let reader = Reader::new(raw, Filter::all(), 0);
        let export = Export {
            reader,
            until: None,
            archived: Some(String::new()),
            ready: VecDeque::new(),
            done: false,
        };
        futures::stream::unfold(export, |mut export| async move {
            let line = export.next().await.transpose()?;
            export.done |= line.is_err();
            Some((line, export))
        })
    }
}

impl<D: Store> Export<D> {
    async fn next(&mut self) -> Result<Option<String>> {
        while self.ready.is_empty() && !self.done {
            self.fill().await?;
        }
        let Some(line) = self.ready.pop_front() else { return Ok(None) };
        let text = serde_json::to_string(&line);
        let failed =
            |error| Error::new(Kind::Decode, "export", "a line cannot be written").with_source(error);
        Ok(Some(text.map_err(failed)?))
    }

    /// Reads what comes next.
    async fn fill(&mut self) -> Result<()> {
        let store = self.reader.store().clone();
        let until = match self.until {
            Some(until) => until,
            None => {
                let mut connection = store.connection().await?;
                *self.until.insert(store.database.look(&mut connection).await?.newest)
            }
        };
        if self.reader.position() < until {
            let reading = self.reader.read().await?;
            if reading.events.is_empty() && self.reader.position() < until {
                tokio::time::sleep(reading.pause).await;
            }
            self.ready.extend(reading.events.into_iter().map(Line::from));
            return Ok(());
        }
        let Some(after) = self.archived.take() else {
            self.done = true;
            return Ok(());
        };
        let page = store.database.archived(&mut *store.connection().await?, &after, PAGE).await?;
        if page.len() == PAGE {
            self.archived = page.last().map(|(stream, _)| stream.clone());
        }
        self.ready
            .extend(page.into_iter().map(|(stream, archived_at)| Line::Archived { stream, archived_at }));
        Ok(())
    }
}
