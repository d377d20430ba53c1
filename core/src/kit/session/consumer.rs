//! The application's end of a session.

use std::sync::Arc;

use async_trait::async_trait;

use super::Session;
use crate::consumer::Consumer;
use crate::delivery::{Delivery, Settler};
use crate::error::{Error, Kind, Result};

/// The [`Consumer`] of a [`Session`]. Dropping it without closing ends the session as a crash would.
#[derive(Debug)]
pub struct SessionConsumer {
    pub(super) session: Arc<Session>,
    pub(super) closed: bool,
}

#[async_trait]
impl Consumer for SessionConsumer {
    async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>> {
        self.session.receive(max).await
    }

    fn settler(&self) -> Arc<dyn Settler> {
        self.session.clone()
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        self.closed = true;
        let result = match self.session.link() {
            Some(link) => link.close().await,
            None => Ok(()),
        };
        self.session.fail(closed());
        self.session.disconnect();
        result
    }
}

impl Drop for SessionConsumer {
    fn drop(&mut self) {
        if !self.closed {
            self.session.fail(closed());
            self.session.disconnect();
        }
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "receive", "the consumer is closed")
}
