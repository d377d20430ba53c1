//! A member of a service: receives, handles, publishes what follows, and only then acknowledges.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anybroker::{
    Consumer, Delivery, Key, Kind, Message, Outcome, Publisher, PublisherExt, Result, Settlement, Settler,
    Verdict,
};
use tokio::sync::watch;

use crate::inbox::{self, Handled, RETRY};
use crate::report;
use crate::state::State;
use crate::topics::Place;

#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) place: Place,
    pub(crate) settler: Arc<dyn Settler>,
    pub(crate) publishers: HashMap<Place, Arc<dyn Publisher>>,
    pub(crate) state: State,
    /// How many orders have ended, for whoever waits for them.
    pub(crate) ended: Arc<watch::Sender<u32>>,
}

/// The most messages handled in one transaction.
const BATCH: usize = 200;

impl Service {
    /// Serves until it is told to stop; then closes in order.
    pub(crate) async fn run(
        self,
        mut consumer: Box<dyn Consumer>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<()> {
        loop {
            let batch = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                batch = consumer.receive(BATCH) => batch?,
            };
            self.serve(batch).await?;
        }
        consumer.close().await
    }

    async fn serve(&self, batch: Vec<Delivery>) -> Result<()> {
        let place = self.place;
        let work = move |transaction: &rusqlite::Transaction<'_>| {
            let handled = inbox::handle_all(transaction, place, batch)?;
            Ok((handled, report::count_ended(transaction)?))
        };
        let (mut handled, ended) = self.state.transaction(work).await?;
        // What follows is confirmed before what caused it is acknowledged: a crash in between repeats, and loses nothing.
        let unsent = self.send(&handled).await?;
        for message in &mut handled {
            if unsent.contains(&message.delivery.to_key()) && message.verdict == Verdict::Ack {
                message.verdict = Verdict::Nack { delay: RETRY };
            }
        }
        self.settle(handled).await?;
        self.ended.send_modify(|before| *before = ended.max(*before));
        Ok(())
    }

    /// Publishes what follows; says of which keys something was not confirmed.
    async fn send(&self, handled: &[Handled]) -> Result<HashSet<Option<Key>>> {
        let mut batches: HashMap<Place, Vec<Message>> = HashMap::new();
        for fact in handled.iter().filter_map(|message| message.follows.as_ref()) {
            batches.entry(fact.place()).or_default().push(fact.message()?);
        }
        let mut unsent = HashSet::new();
        for (place, batch) in batches {
            let Some(publisher) = self.publishers.get(&place) else { continue };
            for outcome in publisher.publish_batch(batch).await {
                unsent.extend(unconfirmed(&**publisher, outcome));
            }
        }
        Ok(unsent)
    }

    async fn settle(&self, handled: Vec<Handled>) -> Result<()> {
        let settlements =
            handled.into_iter().map(|Handled { delivery, verdict, .. }| Settlement { delivery, verdict });
        for result in self.settler.settle(settlements.collect()).await {
            match result {
                // Somebody else has it now, or it comes again: its duplicate will be recognised.
                Err(refused) if is_no_longer_ours(refused.error().kind()) => {}
                other => drop(other?),
            }
        }
        Ok(())
    }
}

fn is_no_longer_ours(kind: Kind) -> bool {
    matches!(kind, Kind::Superseded | Kind::Fenced | Kind::LeaseExpired)
}

fn unconfirmed(publisher: &dyn Publisher, outcome: Outcome) -> Option<Option<Key>> {
    let (_, message) = outcome.err()?.into_parts();
    if let Some(key) = &message.key {
        // Its cause comes again, and with it this message, before anything later of the key.
        publisher.resume(key);
    }
    Some(message.key)
}
