//! The connection for single requests to the server, beside the one that carries messages.
//!
//! A refusal closes its channel, and lapin keeps the refusal by the channel's *number*: when the numbers begin again, after 2,047
//! channels, the next channel of that number gets it, whatever it asks (4.12.3). So questions, of which many are answered by a
//! refusal, have a connection of their own, which gives way to a new one before its numbers begin again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anybroker_core::Result;
use anybroker_core::kit::within;
use futures::FutureExt;
use lapin::{Channel, Connection};
use tokio::sync::OnceCell;

use crate::config::RabbitConfig;
use crate::connect::{dial, fresh};

/// So many channels are opened on one connection, or half of what the server allows: 2,047, unless it is told otherwise.
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
        let Some(connection) = self.connection.get() else { return true };
        let most = match connection.configuration().channel_max() {
            0 => CHANNELS,
            allowed => CHANNELS.min(usize::from(allowed) / 2),
        };
        connection.status().connected() && self.channels.fetch_add(1, Ordering::Relaxed) < most
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
        // On the heap: connecting is large, and asked from deep within other futures.
        let open = async {
            let connection = used.connection.get_or_try_init(connect).await?;
            fresh(connection, operation).await
        }
        .boxed();
        // Each host has its time, and then the channel; others may be connecting already.
        let hosts = u32::try_from(self.config.hosts.len()).unwrap_or(1);
        within(self.config.deadline * (hosts + 1), operation, open).await
    }

    /// The server was lost, or did not answer: what is asked from now on is asked on a new connection.
    pub(crate) fn renew(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    fn current(&self) -> Arc<Used> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.serves() {
            *current = Arc::default();
        }
        current.clone()
    }
}
