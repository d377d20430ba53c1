//! What each service does with an event. Pure functions: the pipeline brings delivery, retries and duplicates.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anybroker::{Delivery, Event, Message, MessageId, Result};

use crate::events::{FinalState, Finished, OrderStep, Paid, Reserved, STEPS};
use crate::pipeline::{Next, Outgoing};
use crate::tally::Tally;

/// The last step seen of every order: what a payment service would keep in its database.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<u32, u32>>);

impl Seen {
    /// Notes a step; says whether it is the one that had to come.
    fn in_order(&self, step: &OrderStep) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.insert(step.order, step.step).unwrap_or(0);
        before + 1 == step.step
    }
}

/// Payment: charges an order when its last step has come; every tenth card is declined.
pub(crate) fn payment(delivery: &Delivery, seen: &Seen, tally: &Tally) -> Result<Outgoing> {
    let step: OrderStep = delivery.event()?;
    if !seen.in_order(&step) {
        tally.violation();
    }
    if step.step < STEPS {
        return Ok(Vec::new());
    }
    if step.order % 10 == 3 {
        return finished(step.order, FinalState::PaymentDeclined);
    }
    send(Next::Inventory, "paid", step.order, &Paid { order: step.order, items: step.items })
}

/// Inventory: sets items aside; large orders of some products find none.
pub(crate) fn inventory(delivery: &Delivery) -> Result<Outgoing> {
    let paid: Paid = delivery.event()?;
    if paid.items == 4 && paid.order.is_multiple_of(3) {
        return finished(paid.order, FinalState::OutOfStock);
    }
    send(Next::Shipping, "reserved", paid.order, &Reserved { order: paid.order })
}

/// Shipping: ends the order.
pub(crate) fn shipping(delivery: &Delivery) -> Result<Outgoing> {
    let reserved: Reserved = delivery.event()?;
    finished(reserved.order, FinalState::Shipped)
}

/// The office: notes how every order ended.
pub(crate) fn office(delivery: &Delivery, tally: &Tally) -> Result<Outgoing> {
    let finished: Finished = delivery.event()?;
    tally.finished(finished.order, finished.state);
    Ok(Vec::new())
}

fn finished(order: u32, state: FinalState) -> Result<Outgoing> {
    send(Next::Office, "finished", order, &Finished { order, state })
}

/// An event whose id follows from what it says: handling the same input twice publishes the same id twice.
fn send<E: Event>(next: Next, what: &str, order: u32, event: &E) -> Result<Outgoing> {
    let id = MessageId::from(format!("order-{order}-{what}"));
    Ok(vec![(next, Message::event(event)?.with_id(id))])
}
