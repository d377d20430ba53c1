//! Reads dead letters and holds them until they have been printed.

use std::time::{Duration, Instant};

use anybroker::{Broker, Consumer, Delivery, MessageId, Subscription};
use tokio::time::Instant as Timer;

use super::Which;
use crate::connect::within;
use crate::failure::Failure;
use crate::progress;
use crate::signals::Signals;

/// How long a new member may take to be given its share, while letters wait.
const JOINING: Duration = Duration::from_secs(10);

/// Opens a consumer that holds as many letters as are to be looked at.
pub(super) async fn open(broker: &Broker, which: &Which) -> Result<Box<dyn Consumer>, Failure> {
    let subscription = Subscription::new(which.topic.clone(), which.group.clone());
    let subscription = subscription.prefetch(which.max.into());
    Ok(within("look at dead letters", broker.consumer(subscription)).await?)
}

/// Reads until there are enough, the one looked for has come, nothing comes any more, or a signal comes.
pub(super) async fn read(
    broker: &Broker,
    which: &Which,
    id: Option<&MessageId>,
    consumer: &mut dyn Consumer,
    signals: &mut Signals,
) -> Result<Vec<Delivery>, Failure> {
    let bar = progress::waiting(format!("reading {}", which.topic));
    let mut held = Vec::new();
    let read = tokio::select! {
        read = take(broker, which, id, consumer, &mut held) => read,
        () = signals.next() => Ok(()),
    };
    bar.finish_and_clear();
    read.map(|()| held)
}

async fn take(
    broker: &Broker,
    which: &Which,
    id: Option<&MessageId>,
    consumer: &mut dyn Consumer,
    held: &mut Vec<Delivery>,
) -> Result<(), Failure> {
    let (most, began) = (usize::from(which.max), Instant::now());
    let mut last = Timer::now();
    while held.len() < most {
        let left = most - held.len();
        match tokio::time::timeout_at(last + which.idle, consumer.receive(left)).await {
            Ok(received) => {
                let received = received?;
                let found = id.is_some_and(|id| received.iter().any(|one| one.id().as_ref() == Some(id)));
                held.extend(received);
                if found {
                    return Ok(());
                }
            }
            Err(_) if held.is_empty() && began.elapsed() < JOINING && waits(broker, which).await => {}
            Err(_) => return Ok(()),
        }
        last = Timer::now();
    }
    Ok(())
}

/// Whether letters wait for the group.
async fn waits(broker: &Broker, which: &Which) -> bool {
    let backlog = within("backlog", broker.admin().backlog(&which.topic, &which.group)).await;
    backlog.is_ok_and(|letters| letters > 0)
}
