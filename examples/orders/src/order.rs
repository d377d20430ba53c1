//! An order: the sum of its events.

use anybroker::patterns::event_store::{Aggregate, Connection, EventStore, Repository};
use anybroker::patterns::events;
use anybroker::{Event, Result};
use serde::{Deserialize, Serialize};

use crate::database::{Database, command_error};
use crate::messages::{FinalState, OrderNews};
use crate::outboxes::Outboxes;
use crate::topics::Place;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) cents: u32,
    pub(crate) items: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Paid {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shipped {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cancelled {
    pub(crate) reason: FinalState,
}

macro_rules! types {
    ($($event:ident = $name:literal),+) => {
        $(impl Event for $event {
            const TYPE: &'static str = $name;
        })+
    };
}

types!(
    Placed = "order.placed",
    Paid = "order.paid",
    Shipped = "order.shipped",
    Cancelled = "order.cancelled"
);

events! {
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) enum OrderEvent {
        Placed(Placed),
        Paid(Paid),
        Shipped(Shipped),
        Cancelled(Cancelled),
    }
}

impl OrderEvent {
    /// How the order ended by it, if it did.
    fn ended(&self) -> Option<FinalState> {
        match self {
            OrderEvent::Placed(_) | OrderEvent::Paid(_) => None,
            OrderEvent::Shipped(_) => Some(FinalState::Shipped),
            OrderEvent::Cancelled(event) => Some(event.reason),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum OrderCommand {
    Place { cents: u32, items: u32 },
    Pay,
    Ship,
    Cancel(FinalState),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OrderState {
    #[default]
    New,
    Placed,
    Paid,
    Shipped,
    Cancelled,
}

#[derive(Debug, Default)]
pub(crate) struct Order {
    state: OrderState,
}

impl Aggregate for Order {
    const NAME: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    /// In which state it was asked for what.
    type Error = (OrderState, OrderCommand);

    fn apply(&mut self, event: &OrderEvent) {
        self.state = match event {
            OrderEvent::Placed(_) => OrderState::Placed,
            OrderEvent::Paid(_) => OrderState::Paid,
            OrderEvent::Shipped(_) => OrderState::Shipped,
            OrderEvent::Cancelled(_) => OrderState::Cancelled,
        };
    }

    fn decide(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, (OrderState, OrderCommand)> {
        Ok(vec![match (self.state, command) {
            (OrderState::New, OrderCommand::Place { cents, items }) => Placed { cents, items }.into(),
            (OrderState::Placed, OrderCommand::Pay) => Paid {}.into(),
            (OrderState::Paid, OrderCommand::Ship) => Shipped {}.into(),
            (OrderState::Placed | OrderState::Paid, OrderCommand::Cancel(reason)) => {
                Cancelled { reason }.into()
            }
            refused => return Err(refused),
        }])
    }
}

/// The orders, and what the world is told of them.
#[derive(Clone)]
pub(crate) struct Orders<D: Database> {
    store: EventStore<D>,
    outboxes: Outboxes<D>,
}

impl<D: Database> Orders<D> {
    pub(crate) fn new(store: EventStore<D>, outboxes: Outboxes<D>) -> Self {
        Orders { store, outboxes }
    }

    /// Carries out a command, and stages the news of it, in the caller's transaction.
    pub(crate) async fn execute(
        &self,
        connection: &mut Connection<D>,
        order: u32,
        command: OrderCommand,
    ) -> Result<()> {
        let repository = Repository::<Order, D>::new(self.store.clone());
        let done = repository.execute_in(connection, &order.to_string(), command, |event| event).await;
        let done = done.map_err(command_error)?;
        let ended = done.events.iter().find_map(OrderEvent::ended);
        let news = OrderNews { order, version: done.version, ended };
        let id = format!("order-{order}/{}", done.version);
        self.outboxes.stage(connection, Place::Office, &news, &id, order).await
    }
}

#[cfg(test)]
mod tests {
    use anybroker::patterns::event_store::testing::given;

    use super::*;

    #[test]
    fn what_is_paid_is_shipped_or_cancelled_once() {
        let paid = || [Placed { cents: 1, items: 1 }.into(), Paid {}.into()];
        let reason = FinalState::OutOfStock;
        given::<Order>(paid())
            .when(OrderCommand::Cancel(reason))
            .then([Cancelled { reason }.into()])
            .when(OrderCommand::Ship)
            .then_error((OrderState::Cancelled, OrderCommand::Ship));
        given::<Order>(paid())
            .when(OrderCommand::Ship)
            .then([Shipped {}.into()])
            .when(OrderCommand::Cancel(reason))
            .then_error((OrderState::Shipped, OrderCommand::Cancel(reason)));
    }
}
