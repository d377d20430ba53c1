//! A channel that confirms, and what is sent on it.

use anybroker::MessageId;
use anybroker::kit::crc32;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, PublisherConfirm};

use super::SLOTS;
use crate::Result;
use crate::task::{Item, Task};

const PERSISTENT: u8 = 2;
/// What anybroker calls the headers.
pub(super) const ID: &str = "cloudEvents_id";
pub(super) const KEY: &str = "cloudEvents_partitionkey";

pub(super) struct Outgoing {
    _connection: Connection,
    channel: Channel,
    exchange: ShortString,
    slots: Vec<ShortString>,
    /// Whether messages say an id and their key, as ours do.
    ids: bool,
}

impl Outgoing {
    pub(super) async fn open(task: &Task, ids: bool) -> Result<Self> {
        let connection = super::connect(task).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let slots = (0..SLOTS).map(|slot| slot.to_string().into()).collect();
        let exchange = task.topic.as_str().into();
        Ok(Outgoing { _connection: connection, channel, exchange, slots, ids })
    }

    /// Sends a message, and comes back when it is written. It is in its place in the order once this is first polled.
    pub(super) async fn send(&self, item: Item) -> Result<PublisherConfirm> {
        let slot = &self.slots[(crc32(&item.key) % SLOTS) as usize];
        let mandatory = BasicPublishOptions { mandatory: true, immediate: false };
        let properties = self.properties(&item);
        let (exchange, slot) = (self.exchange.clone(), slot.clone());
        Ok(self.channel.basic_publish(exchange, slot, mandatory, &item.payload, properties).await?)
    }

    /// Sends a message, and waits until it is stored.
    pub(super) async fn publish(&self, item: Item) -> Result<()> {
        check(&self.send(item).await?.await?)
    }

    fn properties(&self, item: &Item) -> BasicProperties {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        if !self.ids {
            return properties;
        }
        let id = MessageId::new().to_string();
        let mut headers = FieldTable::default();
        let mut say = |name: &str, value: &[u8]| {
            headers.insert(name.into(), AMQPValue::LongString(value.into()));
        };
        say(ID, id.as_bytes());
        say(KEY, &item.key);
        properties.with_message_id(id.into()).with_headers(headers)
    }
}

/// A message that no queue has is returned and then acknowledged: only a plain acknowledgement says that it is stored.
pub(super) fn check(confirmation: &Confirmation) -> Result<()> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        other => Err(format!("not stored: {other:?}").into()),
    }
}
