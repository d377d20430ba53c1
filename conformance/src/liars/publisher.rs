//! The lying publisher.

use std::sync::Arc;

use anybroker_core::kit::{Confirmations, Intake, Pending, Permit};
use anybroker_core::{
    Error, Key, Kind, Message, Publisher, PublisherOptions, Receipt, Result, Topic, async_trait,
};

use super::handed::at_once;
use super::world::{Telling, World};

#[derive(Debug)]
pub(super) struct LyingPublisher {
    intake: Intake,
    outlet: Outlet,
    world: Arc<World>,
}

/// Where messages are stored.
#[derive(Clone, Debug)]
pub(super) struct Outlet {
    publisher: Arc<dyn Publisher>,
    telling: Telling,
    /// Which publisher it is.
    pub(super) number: u64,
}

impl Outlet {
    /// Stores a message; the in-memory broker does so at once.
    pub(super) fn store(&self, message: Message) -> Result<Receipt> {
        let lost = || Error::new(Kind::Unexpected, "publish", "the broker under the liar took its time");
        let permit = at_once(self.publisher.ready(1, message.size())).ok_or_else(lost)??;
        let outcome = at_once(self.publisher.enqueue(permit, vec![message])).ok_or_else(lost)?;
        let receipt = outcome.into_iter().next().ok_or_else(lost)??;
        let position = receipt.position.filter(|_| self.telling.positions);
        Ok(Receipt { position, ..receipt })
    }

    /// Stores a message and says so.
    pub(super) fn honest(&self, pending: Pending) {
        // A failure earlier in its batch may have held the key.
        if let Some(error) = pending.refusal() {
            return pending.fail(error);
        }
        let Some(message) = pending.message().cloned() else { return };
        self.say(pending, self.store(message));
    }

    /// Says what became of a message.
    pub(super) fn say(&self, pending: Pending, outcome: Result<Receipt>) {
        match outcome {
            Ok(receipt) => pending.confirm(receipt),
            Err(error) => pending.fail(error),
        }
    }
}

impl LyingPublisher {
    pub(super) fn new(
        publisher: Arc<dyn Publisher>,
        options: &PublisherOptions,
        message_bytes: usize,
        telling: Telling,
        world: Arc<World>,
    ) -> Self {
        let intake = Intake::new(options, message_bytes);
        let outlet = Outlet { publisher, telling, number: world.next() };
        LyingPublisher { intake, outlet, world }
    }
}

#[async_trait]
impl Publisher for LyingPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.intake.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (accepted, confirmations) = self.intake.accept(permit, batch);
        let (world, outlet) = (self.world.clone(), self.outlet.clone());
        self.world.when_it_runs(Box::new(move || world.lie.publish(&outlet, accepted)));
        confirmations
    }

    async fn flush(&self) -> Result<()> {
        self.world.lie.flush(&self.outlet);
        self.intake.idle(std::time::Duration::from_secs(30)).await
    }

    fn resume(&self, key: &Key) {
        self.intake.resume(key);
        self.outlet.publisher.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.intake.topic()
    }

    async fn close(&self) -> Result<()> {
        self.intake.close();
        self.flush().await?;
        Ok(())
    }
}
