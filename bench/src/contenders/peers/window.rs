//! Publishes under way, each with its confirmation: whichever is done makes room for the next.

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use crate::Result;

/// So many are under way at most, as on Kafka, where 10,000 were slower; here nothing else was tried.
const ON_THE_WAY: usize = 2_000;

pub(super) struct Window<F> {
    under_way: FuturesUnordered<F>,
    most: usize,
}

impl<F: Future<Output = Result<()>>> Window<F> {
    pub(super) fn new() -> Self {
        Self::of(ON_THE_WAY)
    }

    pub(super) fn of(most: usize) -> Self {
        Window { under_way: FuturesUnordered::new(), most }
    }

    pub(super) async fn push(&mut self, publish: F) -> Result<()> {
        if self.under_way.len() >= self.most {
            self.under_way.next().await.transpose()?;
        }
        self.under_way.push(publish);
        Ok(())
    }

    /// Begins with what was pushed, and waits for nothing.
    pub(super) fn begin(&mut self) -> Result<()> {
        while let Some(Some(published)) = self.under_way.next().now_or_never() {
            published?;
        }
        Ok(())
    }

    pub(super) async fn confirmed(&mut self) -> Result<()> {
        while let Some(published) = self.under_way.next().await {
            published?;
        }
        Ok(())
    }
}
