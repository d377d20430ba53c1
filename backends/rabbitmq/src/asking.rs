//! The connection for single requests to the server, beside the one that carries messages.
//!
//! A refusal closes its channel, and lapin keeps the refusal by the channel's *number*: when the numbers begin again, after 2,047
//! channels, the next channel of that number gets it, whatever it asks (4.12.3). So questions, of which many are answered by a
//! refusal, have a connection of their own, which gives way to a new one before its numbers begin again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anybroker_core::Result;
use anybroker_core::kit::within;
use lapin::{Channel, Connection};
use tokio::sync::OnceCell;

use crate::config::RabbitConfig;
use crate::connect::{dial, fresh};

/// So many channels are opened on one connection; a server allows 2,047, unless it is told otherwise.
const CHANNELS: usize = 1_000;

/// The connection, opened when it is needed.
#[derive(Debug)]
pub(crate) struct Asking {
    config: Arc<RabbitConfig>,
    current: Mutex<Arc<Used>>,
}

/// One connection, which ends with the last request on it.
#[derive(Debug, Default)]
struct Used {
    connection: OnceCell<Connection>,
    channels: AtomicUsize,
}

impl Used {
    /// Whether it has another channel.
    fn serves(&self) -> bool {
        let stands = self.connection.get().is_none_or(|connection| connection.status().connected());
        stands && self.channels.fetch_add(1, Ordering::Relaxed) < CHANNELS
    }
}

impl Asking {
    pub(crate) fn new(config: Arc<RabbitConfig>) -> Self {
        Asking { config, current: Mutex::default() }
    }

    /// Opens a channel.
    pub(crate) async fn channel(&self, operation: &'static str) -> Result<Channel> {
        let used = self.current();
        let connect = async || dial(&self.config, "ask").await.map(|(connection, _)| connection);
        let connection = used.connection.get_or_try_init(connect).await?;
        within(self.config.deadline, operation, fresh(connection, operation)).await
    }

    /// The server was lost: what is asked from now on is asked on a new connection.
    pub(crate) fn renew(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    fn current(&self) -> Arc<Used> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.serves() {
            *current = Arc::default();
            current.serves();
        }
        current.clone()
    }
}
