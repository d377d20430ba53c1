//! What is to be published is staged in the transaction of its cause; the relay publishes it.

use anybroker::patterns::event_store::Connection;
use anybroker::patterns::outbox::{self, Outbox};
use anybroker::{Event, Message, MessageId, Result};

use crate::database::Database;
use crate::topics::{Place, Topics};

/// An outbox for each place.
#[derive(Clone)]
pub(crate) struct Outboxes<D: outbox::Store + Clone> {
    database: D,
    topics: Topics,
}

impl<D: Database> Outboxes<D> {
    pub(crate) fn new(database: D, topics: Topics) -> Self {
        Outboxes { database, topics }
    }

    /// Stages a message, whose id follows from what it says.
    pub(crate) async fn stage<E: Event + Sync>(
        &self,
        connection: &mut Connection<D>,
        place: Place,
        event: &E,
        id: &str,
        order: u32,
    ) -> Result<()> {
        self.stage_all(connection, place, [(event, id.to_owned(), order)]).await
    }

    /// Stages messages, each with its id and its order. All of every 11th order are published twice, as by somebody who
    /// lost an answer.
    pub(crate) async fn stage_all<'a, E: Event + Sync + 'a>(
        &self,
        connection: &mut Connection<D>,
        place: Place,
        events: impl IntoIterator<Item = (&'a E, String, u32)>,
    ) -> Result<()> {
        let mut messages = Vec::new();
        for (event, id, order) in events {
            let message = Message::event(event)?.with_id(MessageId::from(id));
            messages.extend(is_doubled(order).then(|| message.clone()));
            messages.push(message);
        }
        let outbox = Outbox::new(self.database.clone(), self.topics.topic(place)?);
        outbox.stage_all(connection, messages).await
    }
}

pub(crate) fn is_doubled(order: u32) -> bool {
    order.is_multiple_of(11)
}
