//! How the messages of a subscription are handled.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::TransactionOptions;

use crate::retry::Retry;
use crate::store::ParkingStore;

/// Concurrency, time-out and retries of a subscription's handler.
///
/// ```
/// use std::time::Duration;
/// use anybroker_worker::{Handling, Retry};
/// let handling = Handling::default().concurrency(64).timeout(Duration::from_secs(5)).retry(Retry::default().attempts(3));
/// ```
#[derive(Clone)]
pub struct Handling {
    pub(crate) concurrency: usize,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) hopeless: Hopeless,
    pub(crate) parking: Option<Arc<dyn ParkingStore>>,
    pub(crate) exactly_once: Option<TransactionOptions>,
}

impl Default for Handling {
    /// 16 handlers at once, 60 s for each, [`Retry::default`].
    fn default() -> Self {
        Handling {
            concurrency: 16,
            timeout: Some(Duration::from_secs(60)),
            retry: Retry::default(),
            hopeless: Hopeless::default(),
            parking: None,
            exactly_once: None,
        }
    }
}

impl Handling {
    /// So many handlers run at once; of one key never more than one. With 1, messages are handled in the order in which
    /// they are received.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers.max(1);
        self
    }

    /// A handler that takes longer is dropped at its next await, which counts as a retryable failure. Its time is counted from
    /// when it first waits, or asks for its [`Deadline`](crate::Deadline).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Handlers may take for ever. One that never returns then holds its key, and one of the concurrent handlers, until
    /// the worker stops.
    pub fn without_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// How failed messages are tried again.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// What becomes of hopeless messages if the subscription names no dead letter topic.
    pub fn hopeless(mut self, hopeless: Hopeless) -> Self {
        self.hopeless = hopeless;
        self
    }

    /// Keeps order also after a hopeless message: the later ones of its key are parked behind it in the dead letter topic,
    /// in order and untried, until it was replayed and handled, or was discarded. `store` says which keys that are; all
    /// members of the group share it. Every message with a key costs a look into it.
    pub fn park(mut self, store: Arc<dyn ParkingStore>) -> Self {
        self.parking = Some(store);
        self
    }

    /// Handles each message exactly once, as far as the broker reaches: what a handler publishes by
    /// [`Publishers`](crate::Publishers), and the acknowledgement of its message, happen together or not at all. So do dead
    /// letters. Consumers that read only what was committed, as ours do, see each effect once, whoever is killed when.
    ///
    /// The id of the transactions is that of one subscription in one process at a time, and the same after a restart: the
    /// one before it is fenced, and what it left open is aborted. Where the broker has no transactions, the worker does not
    /// start (`Unsupported`): `docs/exactly-once.md` says what to do there.
    ///
    /// Handlers run concurrently, and lanes are kept, as without it; what has ended well is committed together, while the next
    /// handlers run. Of each partition that is what has nothing undone before it: a message that waits for its next attempt keeps
    /// the effects of later ones from being seen. Handlers may run more than once: what they do elsewhere is at least once.
    pub fn exactly_once(mut self, transactions: TransactionOptions) -> Self {
        self.exactly_once = Some(transactions);
        self
    }
}

impl fmt::Debug for Handling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handling")
            .field("concurrency", &self.concurrency)
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .field("hopeless", &self.hopeless)
            .field("parking", &self.parking.is_some())
            .field("exactly_once", &self.exactly_once)
            .finish()
    }
}

/// What becomes of a hopeless message where no dead letter topic is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hopeless {
    /// The worker hands it back and ends with an error: nothing is lost. The default.
    #[default]
    Stop,
    /// It is acknowledged and gone; an error is logged and counted.
    Discard,
}

/// How messages are put together for a handler of batches.
#[derive(Clone, Copy, Debug)]
pub struct Batches {
    pub(crate) most: usize,
    pub(crate) linger: Duration,
}

impl Batches {
    /// Batches of up to so many messages, of what is there.
    pub fn of(most: usize) -> Self {
        Batches { most: most.max(1), linger: Duration::ZERO }
    }

    /// Waits so long for a batch to fill up.
    pub fn linger(mut self, limit: Duration) -> Self {
        self.linger = limit;
        self
    }
}
