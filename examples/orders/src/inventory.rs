//! The inventory service: sets items aside, and puts them back. Its state is a stream of each order.

use anybroker::patterns::event_store::{Aggregate, Connection, EventStore, Repository};
use anybroker::patterns::events;
use anybroker::{Event, Result};
use serde::{Deserialize, Serialize};

use crate::database::{Database, command_error};
use crate::messages::{Answer, Reply, StockAction, StockRequest};
use crate::service::Service;
use crate::topics::Place;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) items: u32,
}

impl Event for Reserved {
    const TYPE: &'static str = "stock.reserved";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Missing {}

impl Event for Missing {
    const TYPE: &'static str = "stock.missing";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Released {
    pub(crate) items: u32,
}

impl Event for Released {
    const TYPE: &'static str = "stock.released";
}

events! {
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) enum StockEvent {
        Reserved(Reserved),
        Missing(Missing),
        Released(Released),
    }
}

/// What is set aside for an order.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    items: Option<u32>,
}

impl Aggregate for Stock {
    const NAME: &'static str = "stock";
    type Command = StockRequest;
    type Event = StockEvent;
    type Error = &'static str;

    fn apply(&mut self, event: &StockEvent) {
        self.items = match event {
            StockEvent::Reserved(event) => Some(event.items),
            StockEvent::Missing(_) | StockEvent::Released(_) => Some(0),
        };
    }

    /// Large orders of some products find nothing.
    fn decide(&self, request: StockRequest) -> Result<Vec<StockEvent>, &'static str> {
        match (request.action, self.items) {
            (StockAction::Reserve { items: 4 }, None) if request.order.is_multiple_of(3) => {
                Ok(vec![Missing {}.into()])
            }
            (StockAction::Reserve { items }, None) => Ok(vec![Reserved { items }.into()]),
            (StockAction::Reserve { .. }, Some(_)) => Err("it was asked for items before"),
            (StockAction::Release, Some(items)) if items > 0 => Ok(vec![Released { items }.into()]),
            (StockAction::Release, _) => Err("there is nothing to put back"),
        }
    }
}

#[derive(Clone)]
pub(crate) struct InventoryService<D>(pub(crate) EventStore<D>);

impl<D: Database> Service<D> for InventoryService<D> {
    const PLACE: Place = Place::Inventory;
    type Request = StockRequest;

    async fn handle(&self, connection: &mut Connection<D>, request: &StockRequest) -> Result<Option<Reply>> {
        let stock = Repository::<Stock, D>::new(self.0.clone());
        let order = request.order;
        let done = stock.execute_in(connection, &order.to_string(), request.clone(), |event| event).await;
        let answer = match done.map_err(command_error)?.events.first() {
            Some(StockEvent::Reserved(_)) => Answer::ItemsReserved,
            Some(StockEvent::Missing(_)) => Answer::OutOfStock,
            Some(StockEvent::Released(_)) | None => return Ok(None),
        };
        Ok(Some(Reply { order, answer }))
    }
}

#[cfg(test)]
mod tests {
    use anybroker::patterns::event_store::testing::given;

    use super::*;

    #[test]
    fn items_are_set_aside_once_and_put_back_once() {
        let request = |action| StockRequest { order: 1, action };
        given::<Stock>([Reserved { items: 2 }.into()])
            .when(request(StockAction::Release))
            .then([Released { items: 2 }.into()]);
        given::<Stock>([Reserved { items: 2 }.into(), Released { items: 2 }.into()])
            .when(request(StockAction::Release))
            .then_error("there is nothing to put back");
    }
}
