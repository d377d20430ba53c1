//! A service: handles a batch in one transaction. Each message's effect, the note in the inbox that it took effect, and the
//! reply in the outbox are committed together, or not at all; after that it is acknowledged.

use std::collections::HashSet;
use std::future::Future;

use anybroker::patterns::event_store::Connection;
use anybroker::patterns::inbox::Inbox;
use anybroker::worker::{Failure, Item, Outcomes, State};
use anybroker::{Delivery, Event, Result};

use crate::database::{Database, commit};
use crate::messages::Reply;
use crate::outboxes::Outboxes;
use crate::topics::{Place, Topics};

pub(crate) trait Service<D: Database>: Clone + Send + Sync + 'static {
    /// The topic that it reads, and its group.
    const PLACE: Place;
    type Request: Event + Send + Sync + 'static;

    /// Does what is asked for, in the caller's transaction.
    fn handle(
        &self,
        connection: &mut Connection<D>,
        request: &Self::Request,
    ) -> impl Future<Output = Result<Option<Reply>>> + Send;
}

/// A service with its inbox, and the outbox for its replies.
#[derive(Clone)]
pub(crate) struct Desk<D: Database, S> {
    service: S,
    database: D,
    inbox: Inbox<D>,
    outboxes: Outboxes<D>,
}

/// What a batch came to, for the report.
#[derive(Clone, Copy, Default)]
struct Counts {
    delivered: u32,
    redelivered: u32,
    failed: u32,
    suppressed: u32,
}

impl<D: Database, S: Service<D>> Desk<D, S> {
    pub(crate) fn new(service: S, database: D, outboxes: Outboxes<D>, topics: &Topics) -> Result<Self> {
        let inbox = Inbox::new(database.clone(), topics.group(S::PLACE)?);
        Ok(Desk { service, database, inbox, outboxes })
    }

    /// The worker's handler. While the database is away, the batch comes again; what is wrong with the program ends it.
    pub(crate) async fn serve(batch: Vec<Item<S::Request>>, State(desk): State<Self>) -> Outcomes {
        match desk.handle(batch).await {
            Ok(each) => each.into(),
            Err(error) if error.is_retryable() => Err::<(), _>(Failure::retryable(error)).into(),
            Err(error) => Err::<(), _>(Failure::fatal(error)).into(),
        }
    }

    async fn handle(&self, batch: Vec<Item<S::Request>>) -> Result<Vec<Result<(), Failure>>> {
        let mut transaction = self.database.writing().await?;
        let (mut outcomes, mut replies) = (Vec::new(), Vec::new());
        let (mut counts, mut failed) = (Counts::default(), HashSet::new());
        for item in &batch {
            let delivery = &item.delivery;
            counts.delivered += 1;
            counts.redelivered += u32::from(delivery.redelivered());
            // What follows one that failed must not take effect before it.
            if failed.contains(&delivery.to_key()) || stumbles(delivery) {
                counts.failed += 1;
                failed.insert(delivery.to_key());
                outcomes.push(Err(Failure::retryable("the provider did not answer")));
                continue;
            }
            let effect =
                async |connection: &mut Connection<D>| self.service.handle(connection, &item.event).await;
            match self.inbox.once(&mut transaction, delivery, effect).await? {
                Some(reply) => replies.extend(reply.map(|reply| (reply, reply_id(delivery)))),
                None => counts.suppressed += 1,
            }
            outcomes.push(Ok(()));
        }
        let all = replies.iter().map(|(reply, id)| (reply, id.clone(), reply.order));
        self.outboxes.stage_all(&mut transaction, Place::Fulfilment, all).await?;
        self.count(&mut transaction, counts).await?;
        commit::<D>(transaction).await?;
        Ok(outcomes)
    }

    /// A row for each batch: nobody waits for anybody.
    async fn count(&self, connection: &mut Connection<D>, counts: Counts) -> Result<()> {
        let sql =
            "insert into {batches} (delivered, redelivered, failed, suppressed) values ($1, $2, $3, $4)";
        let Counts { delivered, redelivered, failed, suppressed } = counts;
        let values = [delivered, redelivered, failed, suppressed].map(Into::into);
        self.database.change(connection, sql, &values).await.map(drop)
    }
}

fn reply_id(delivery: &Delivery) -> String {
    delivery.identity().map_or_else(String::new, |id| format!("{id}/reply"))
}

/// Every 37th message fails at its first attempt, as a payment provider that is briefly away would make it. The id decides,
/// so that every run has the same mishaps.
fn stumbles(delivery: &Delivery) -> bool {
    let id = delivery.identity().map(|id| id.to_string()).unwrap_or_default();
    let sum: u64 = id.bytes().map(u64::from).sum();
    delivery.attempt() == 1 && sum % 37 == 5
}
