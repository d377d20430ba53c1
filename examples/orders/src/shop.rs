//! The shop: publishes every order's steps, and a few of them twice, as a client that lost a reply would.

use std::sync::Arc;

use anybroker::{Message, MessageId, Publisher, PublisherExt, Result};

use crate::events::{OrderStep, STEPS};
use crate::state::{Count, Run, State, count};

/// Orders that are in progress at once: their steps come interleaved.
const AT_ONCE: u32 = 50;

/// Goes on after the last batch that is known to be published. The one after it may have been published in part: it is
/// sent again, and its ids tell what the services have seen.
pub(crate) async fn open(publisher: Arc<dyn Publisher>, state: State, orders: u32) -> Result<()> {
    let mut first = state.transaction(Run::ordered).await?;
    while first < orders {
        let last = orders.min(first + AT_ONCE);
        let (batch, injected) = batch(first, last)?;
        let mut recognised = 0;
        for outcome in publisher.publish_batch(batch).await {
            recognised += u32::from(outcome?.duplicate);
        }
        let note = move |transaction: &rusqlite::Transaction<'_>| {
            count(transaction, Count::Injected, injected)?;
            count(transaction, Count::Recognised, recognised)?;
            Run::set_ordered(transaction, last)
        };
        state.transaction(note).await?;
        first = last;
    }
    Ok(())
}

/// All steps of some orders, and how many of them are in it twice.
fn batch(first: u32, last: u32) -> Result<(Vec<Message>, u32)> {
    let (mut batch, mut injected) = (Vec::new(), 0);
    for step in 1..=STEPS {
        for order in first..last {
            let message = message(order, step)?;
            if (order + step).is_multiple_of(11) {
                injected += 1;
                batch.push(message.clone());
            }
            batch.push(message);
        }
    }
    Ok((batch, injected))
}

/// A step, the same whenever it is published.
fn message(order: u32, step: u32) -> Result<Message> {
    let event = OrderStep { order, step, cents: price(order), items: items(order) };
    let id = MessageId::from(format!("order-{order}-step-{step}"));
    Ok(Message::event(&event)?.with_id(id))
}

/// What an order costs.
pub(crate) fn price(order: u32) -> u32 {
    100 + order % 97 * 50
}

/// How many items are in it.
pub(crate) fn items(order: u32) -> u32 {
    1 + order % 4
}
