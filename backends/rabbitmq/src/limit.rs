//! What the broker itself gave up on after its delivery limit, brought to where a person looks: the subscription's dead
//! letter topic, in the same envelope as every other dead letter, with the reason `broker limit`.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::dead_letter::DeadLetter;
use anybroker_core::kit::{Session, publishable, within};
use anybroker_core::{Message, Publisher, PublisherExt, Reason, ReasonClass, RecordBuffer, Result};
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicQosOptions};

use crate::connect::{Link, Live};
use crate::consuming::Consuming;
use crate::error::typed;
use crate::names::Names;
use crate::publisher::RabbitPublisher;
use crate::record::record;
use crate::topology::DELIVERY_LIMIT;

/// What a message caught by the broker's limit carries as its reason.
const REASON: &str = "broker limit";
/// How long to wait before trying again where the dead letter topic or the broker could not be reached.
const RETRY: Duration = Duration::from_secs(1);

/// Moves messages until the session ends.
pub(crate) async fn run(
    link: Arc<Link>,
    names: Names,
    session: Arc<Session>,
    publisher: Arc<RabbitPublisher>,
) {
    let ended = session.wait_until(|session| session.ended().map(|_| ()));
    let moving = async {
        loop {
            if let Ok(live) = link.now().await
                && let Err(error) = move_all(&live, &names, &session, &publisher).await
            {
                tracing::warn!(%error, queue = names.broker_limit(), "moving dead letters failed; trying again");
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = moving => {}
    }
}

async fn move_all(live: &Live, names: &Names, session: &Session, publisher: &RabbitPublisher) -> Result<()> {
    // Of a queue that may be refused, again and again.
    let channel = live.asking.channel("dead-letter").await?;
    let failed = |e| typed("dead-letter", e);
    let mut caught = within(live.deadline, "dead-letter", async {
        channel.basic_qos(1, BasicQosOptions::default()).await.map_err(failed)?;
        Consuming::begin(channel, &names.broker_limit()).await.map_err(failed)
    })
    .await?;
    while let Some(delivery) = caught.next().await {
        move_one(&caught.channel, delivery.map_err(failed)?, session, publisher).await?;
    }
    Ok(())
}

async fn move_one(
    channel: &Channel,
    delivery: Delivery,
    session: &Session,
    publisher: &RabbitPublisher,
) -> Result<()> {
    let tag = delivery.delivery_tag;
    let message = envelope(delivery, session);
    let key = message.key.clone();
    let published = publisher.publish(message).await;
    if let (Err(_), Some(key)) = (&published, &key) {
        // It is tried again from the queue, in order.
        publisher.resume(key);
    }
    published?;
    channel.basic_ack(tag, BasicAckOptions::default()).await.map_err(|e| typed("dead-letter", e))
}

fn envelope(delivery: Delivery, session: &Session) -> Message {
    let mut buffer = RecordBuffer::new();
    let routing_key = delivery.routing_key.to_string();
    let record = record(&mut buffer, &delivery.properties, &routing_key, delivery.data);
    let mut message = publishable(record.to_message());
    let subscription = session.subscription();
    let letter = DeadLetter {
        topic: Some(subscription.topic.clone()),
        group: Some(subscription.group.clone()),
        // The limit is passed by one delivery: <https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>.
        attempts: Some(DELIVERY_LIMIT as u32 + 1),
        message_time: record.time(),
        message_id: Some(message.id.clone()),
        ..DeadLetter::new(Reason::new(ReasonClass::BrokerLimit, REASON))
    };
    letter.write(&mut message);
    message
}
