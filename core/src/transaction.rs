//! Transactions: what is read, what is published and what is acknowledged, all of it or nothing.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::delivery::Delivery;
use crate::error::{Error, Kind, Result};
use crate::guarantees::Requirements;
use crate::message::Message;
use crate::topic::{Topic, TransactionalId};

/// How a transactional publisher is opened.
#[derive(Clone, Debug)]
pub struct TransactionOptions {
    /// Who publishes: the same after a restart, and of one process at a time.
    pub id: TransactionalId,
    /// After so long the broker aborts a transaction by itself.
    pub timeout: Duration,
    /// What the application needs of the broker; opening fails where that is not given.
    pub requirements: Requirements,
}

impl TransactionOptions {
    /// The defaults for `id`: one minute, nothing required.
    pub fn new(id: TransactionalId) -> Self {
        TransactionOptions { id, timeout: Duration::from_secs(60), requirements: Requirements::new() }
    }

    /// Bounds how long a transaction may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// States what the application needs.
    pub fn require(mut self, requirements: Requirements) -> Self {
        self.requirements = requirements;
        self
    }

    /// The refusal of a broker that has no transactions.
    pub fn unsupported(&self) -> Error {
        let text = "this broker cannot publish and acknowledge in one transaction";
        Error::new(Kind::Unsupported, "open a transactional publisher", text)
            .on(format!("transactional id `{}`", self.id))
            .advice(
                "for effects that happen once, write what is to be published to an outbox, give each message a deduplication \
                 id, and keep an inbox of what was handled; or use a broker whose guarantees say transactions = read-process-write",
            )
    }
}

/// Publishes and settles in transactions, one after the other: the one holder of its [`TransactionalId`].
///
/// Opening one *fences* the holder before it, in whatever process that still runs: its open transaction is aborted, and
/// whatever it does from then on fails with [`Kind::Fenced`].
///
/// ```no_run
/// # async fn example(broker: anybroker_core::Broker, mut consumer: Box<dyn anybroker_core::Consumer>) -> anybroker_core::Result<()> {
/// use anybroker_core::{Message, Topic, TransactionOptions, TransactionalId};
/// let options = TransactionOptions::new(TransactionalId::new("totals-0")?);
/// let (mut publisher, totals) = (broker.transactional_publisher(options).await?, Topic::new("totals")?);
/// loop {
///     let batch = consumer.receive(100).await?;
///     let outputs = batch.iter().map(|delivery| Message::new(delivery.payload().clone())).collect();
///     let transaction = publisher.begin().await?;
///     transaction.publish(&totals, outputs).await?;
///     transaction.settle(batch).await?;
///     transaction.commit().await?; // the outputs are there and the inputs are done, or neither
/// }
/// # }
/// ```
///
/// # For implementors
/// Build on [`kit::Inputs`](crate::kit::Inputs), which keeps the deliveries of a transaction and hands them back.
#[async_trait]
pub trait TransactionalPublisher: Send + fmt::Debug {
    /// Begins a transaction. What a dropped one left behind at the broker is aborted first.
    ///
    /// # Errors
    /// `Fenced` if somebody else holds the id by now: this publisher is of no use any more. `Disconnected`, `TimedOut`.
    ///
    /// # Cancel safety
    /// Cancel safe: an empty transaction may have begun, which the next call ends.
    async fn begin(&mut self) -> Result<Box<dyn Transaction + '_>>;

    /// The id that it holds.
    fn id(&self) -> &TransactionalId;

    /// Lets go of the connection; nothing is open any more, as the transaction borrows the publisher.
    ///
    /// # Errors
    /// `TimedOut`, `Disconnected`; it is closed all the same.
    ///
    /// # Cancel safety
    /// Not cancel safe: a cancelled call leaves it to the broker's time-outs.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// A transaction: consumers see all that is published in it, and what is settled in it is done, when it is committed; and
/// nothing of it otherwise.
///
/// What [`publish`](Self::publish) or [`settle`](Self::settle) refuses dooms the whole: [`commit`](Self::commit) then aborts
/// and says why. So nothing made from a delivery that is void is ever seen.
///
/// [`abort`](Self::abort) hands the settled deliveries back to their consumer: they come again, in order, before the later
/// ones of their keys, and no attempt is counted. So does dropping the transaction, which never waits; the broker is told
/// in the background. No key is held by a transaction that failed: nothing of it was sent, and the next one begins anew.
///
/// Only acknowledgements are part of a transaction. A dead letter is one too: publish it to its topic, and settle.
#[async_trait]
pub trait Transaction: Send + Sync + fmt::Debug {
    /// Publishes to a topic, in call order. Whether it was stored shows with the commit.
    ///
    /// # Errors
    /// What was refused: `TooLarge`, `NotFound` (the topic), `InvalidConfiguration`, `Fenced`, `TimedOut`. The transaction
    /// is doomed.
    ///
    /// # Cancel safety
    /// A cancelled call dooms the transaction: a part of the batch may be in it.
    async fn publish(&self, topic: &Topic, batch: Vec<Message>) -> Result<()>;

    /// Acknowledges deliveries, with the commit. Until then they stay in the transaction's hands: their partitions are not
    /// given to others before the subscription's drain deadline, and they do not come again.
    ///
    /// # Errors
    /// `Superseded`, `Fenced`, `LeaseExpired`, `Closed`: one is no longer ours. `InvalidConfiguration`: one comes from
    /// another broker handle. The transaction is doomed, and hands all of them back.
    ///
    /// # Cancel safety
    /// A cancelled call dooms the transaction.
    async fn settle(&self, batch: Vec<Delivery>) -> Result<()>;

    /// Makes all of it visible.
    ///
    /// # Errors
    /// If the [fate](Error::fate) is *not applied*, it was aborted: for what doomed it; `Fenced` (another holder of the id, or a
    /// partition of a settled delivery is another member's by now, or its group shares out anew at this moment; whether the
    /// publisher is of no use any more, `begin` tells); `TimedOut` (it took longer than its time-out);
    /// `Superseded`, where acknowledgements are cumulative, for a delivery behind one that is not settled. The deliveries come
    /// again.
    ///
    /// If it is *unknown*, the broker did not answer. It has all or nothing of it, and nobody here can tell which. The
    /// consumers of the settled deliveries end with `Disconnected`, for they can neither repeat nor forget them: open the
    /// publisher under the same id again, which ends the transaction one way or the other, then the consumers, which go on
    /// where the broker says. Nothing is to be published again by hand.
    ///
    /// # Cancel safety
    /// Not cancel safe: of a cancelled commit the fate is unknown, and its consumers end, unless the adapter learns the outcome
    /// after all.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// Makes all of it as if it had never been, and hands the settled deliveries back.
    ///
    /// # Errors
    /// `TimedOut`, `Disconnected`: the broker has not heard of it, and aborts by its time-out or when the id is opened again. The
    /// deliveries are handed back all the same.
    ///
    /// # Cancel safety
    /// A cancelled call is as a dropped transaction.
    async fn abort(self: Box<Self>) -> Result<()>;
}
