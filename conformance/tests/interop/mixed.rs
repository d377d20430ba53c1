//! A group with members in both languages, where the broker itself shares the messages out.

use anybroker::{Delivery, Message, PublisherExt as _};

use crate::letter::{Letter, same};
use crate::stage::{Stage, next};
use crate::{Failure, Outcome};

/// How many messages the member in Python handles before it leaves.
const THEIRS: usize = 30;

/// A member in Python joins a group of anybroker's and leaves it: every message is handled, and once.
pub(crate) async fn group(stage: &Stage) -> Outcome {
    let mut consumer = stage.consumer().await?;
    let publisher = stage.publisher().await?;
    let mut python = stage.python_consumer(&stage.topic, THEIRS)?;
    let mut handled = Vec::new();
    let (mut published, mut theirs) = (0, 0);
    // Until Python has had its share, one message after the other goes to whoever has the partition.
    while theirs < THEIRS || handled.len() < published {
        if handled.len() == published {
            publisher
                .publish(Message::new(published.to_string()).with_key(format!("k-{}", published % 20)))
                .await?;
            published += 1;
        }
        tokio::select! {
            delivery = next(&mut consumer) => {
                let delivery = delivery?;
                handled.push(number(&delivery)?);
                delivery.ack().await?;
            }
            line = python.hear(), if theirs < THEIRS => {
                let letter: Letter = serde_json::from_value(line?)?;
                handled.push(std::str::from_utf8(&letter.payload.0)?.parse()?);
                theirs += 1;
            }
        }
    }
    python.end().await?;
    consumer.close().await?;
    publisher.close().await?;
    handled.sort_unstable();
    same("the messages handled", (0..published).collect(), handled)?;
    Ok(format!("{published} messages handled once, {THEIRS} of them by Python"))
}

fn number(delivery: &Delivery) -> Result<usize, Failure> {
    Ok(std::str::from_utf8(delivery.payload())?.parse()?)
}
