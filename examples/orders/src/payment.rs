//! The payment service: charges orders, and gives the money back. Its state is a stream of each order.

use anybroker::patterns::event_store::{Aggregate, Connection, EventStore, Repository};
use anybroker::patterns::events;
use anybroker::{Event, Result};
use serde::{Deserialize, Serialize};

use crate::database::{Database, command_error};
use crate::messages::{Answer, PaymentAction, PaymentRequest, Reply};
use crate::service::Service;
use crate::topics::Place;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Charged {
    pub(crate) cents: u32,
}

impl Event for Charged {
    const TYPE: &'static str = "payment.charged";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Declined {}

impl Event for Declined {
    const TYPE: &'static str = "payment.declined";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refunded {
    pub(crate) cents: u32,
}

impl Event for Refunded {
    const TYPE: &'static str = "payment.refunded";
}

events! {
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) enum PaymentEvent {
        Charged(Charged),
        Declined(Declined),
        Refunded(Refunded),
    }
}

/// What an order has paid.
#[derive(Debug, Default)]
pub(crate) struct Payment {
    cents: Option<u32>,
}

impl Aggregate for Payment {
    const NAME: &'static str = "payment";
    type Command = PaymentRequest;
    type Event = PaymentEvent;
    type Error = &'static str;

    fn apply(&mut self, event: &PaymentEvent) {
        self.cents = match event {
            PaymentEvent::Charged(event) => Some(event.cents),
            PaymentEvent::Declined(_) | PaymentEvent::Refunded(_) => Some(0),
        };
    }

    /// Every tenth card is declined.
    fn decide(&self, request: PaymentRequest) -> Result<Vec<PaymentEvent>, &'static str> {
        match (request.action, self.cents) {
            (PaymentAction::Charge { .. }, None) if request.order % 10 == 3 => Ok(vec![Declined {}.into()]),
            (PaymentAction::Charge { cents }, None) => Ok(vec![Charged { cents }.into()]),
            (PaymentAction::Charge { .. }, Some(_)) => Err("it was asked to pay before"),
            (PaymentAction::Refund, Some(cents)) if cents > 0 => Ok(vec![Refunded { cents }.into()]),
            (PaymentAction::Refund, _) => Err("there is nothing to give back"),
        }
    }
}

#[derive(Clone)]
pub(crate) struct PaymentService<D>(pub(crate) EventStore<D>);

impl<D: Database> Service<D> for PaymentService<D> {
    const PLACE: Place = Place::Payment;
    type Request = PaymentRequest;

    async fn handle(
        &self,
        connection: &mut Connection<D>,
        request: &PaymentRequest,
    ) -> Result<Option<Reply>> {
        let payments = Repository::<Payment, D>::new(self.0.clone());
        let order = request.order;
        let done = payments.execute_in(connection, &order.to_string(), request.clone(), |event| event).await;
        let answer = match done.map_err(command_error)?.events.first() {
            Some(PaymentEvent::Charged(_)) => Answer::PaymentTaken,
            Some(PaymentEvent::Declined(_)) => Answer::PaymentDeclined,
            Some(PaymentEvent::Refunded(_)) | None => return Ok(None),
        };
        Ok(Some(Reply { order, answer }))
    }
}

#[cfg(test)]
mod tests {
    use anybroker::patterns::event_store::testing::given;

    use super::*;

    #[test]
    fn money_is_taken_once_and_given_back_once() {
        let request = |action| PaymentRequest { order: 1, action };
        let charge = || request(PaymentAction::Charge { cents: 5 });
        let refund = || request(PaymentAction::Refund);
        given::<Payment>([Charged { cents: 5 }.into()])
            .when(charge())
            .then_error("it was asked to pay before");
        let given_back = [Charged { cents: 5 }.into(), Refunded { cents: 5 }.into()];
        given::<Payment>(given_back).when(refund()).then_error("there is nothing to give back");
    }
}
