//! The shop: publishes every order's steps, and a few of them twice, as a client that lost a reply would.

use std::sync::Arc;

use anybroker::{Message, MessageId, Publisher, PublisherExt, Result};

use crate::events::{OrderStep, STEPS};
use crate::tally::Tally;

/// Orders that are in progress at once: their steps come interleaved.
const AT_ONCE: u32 = 50;

pub(crate) async fn open(publisher: Arc<dyn Publisher>, orders: u32, tally: Arc<Tally>) -> Result<()> {
    for first in (0..orders).step_by(AT_ONCE as usize) {
        let last = orders.min(first + AT_ONCE);
        let mut batch = Vec::new();
        for step in 1..=STEPS {
            for order in first..last {
                let message = message(order, step)?;
                if (order + step).is_multiple_of(11) {
                    tally.injected();
                    batch.push(message.clone());
                }
                batch.push(message);
            }
        }
        for outcome in publisher.publish_batch(batch).await {
            outcome?;
        }
    }
    publisher.flush().await
}

fn message(order: u32, step: u32) -> Result<Message> {
    let cents = 100 + u64::from(order % 97) * 50;
    let message = Message::event(&OrderStep { order, step, cents, items: 1 + order % 4 })?;
    // The same step always has the same id: that is how its duplicates are known.
    Ok(message.with_id(MessageId::from(format!("order-{order}-step-{step}"))))
}
