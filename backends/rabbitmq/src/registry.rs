//! Which groups a topic has. AMQP lists nothing, but deleting or purging a topic must reach every group: so their names
//! are kept in the one place that AMQP can read and write, a queue beside the exchange (`<topic>:groups`).
//!
//! It holds one message, the list. Single active consumer makes it a lock: whoever reads it has it until the channel is
//! closed, which puts the list back. A reader sends a mark behind the list, and has read everything when the mark comes.

use anybroker_core::kit::within;
use anybroker_core::{Error, Group, Kind, Result, Topic};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation};

use crate::consuming::Consuming;
use crate::error::typed;
use crate::sharing::chance;
use crate::wire::Wire;

/// A mark that its reader did not live to take away goes by itself, in milliseconds.
const MARK_LIVES: &str = "60000";
const PERSISTENT: u8 = 2;

/// The groups of one topic.
#[derive(Clone, Debug)]
pub(crate) struct Registry<'a> {
    wire: Wire<'a>,
    queue: String,
}

/// The list, read and locked until the channel is closed.
struct Locked {
    list: Consuming,
    groups: Vec<Group>,
    /// The last delivery tag that holds a list.
    last: Option<u64>,
}

impl<'a> Registry<'a> {
    pub(crate) fn new(wire: Wire<'a>, topic: &Topic) -> Self {
        Registry { wire, queue: format!("{topic}:groups") }
    }

    /// The name of the queue.
    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    /// The topic's groups; none if it has no list.
    pub(crate) async fn groups(&self) -> Result<Vec<Group>> {
        if self.wire.look(&self.queue).await?.is_none() {
            return Ok(Vec::new());
        }
        within(self.wire.live.deadline, self.wire.operation, async {
            let locked = self.lock().await?;
            self.unlock(locked.list).await?;
            Ok(locked.groups)
        })
        .await
    }

    /// Adds a group to the list, unless it is in it. `arguments` are those of the queue.
    pub(crate) async fn add(&self, group: &Group, arguments: FieldTable) -> Result<()> {
        self.wire.declare_queue(&self.queue, arguments).await?.map_err(|e| self.failed(e))?;
        within(self.wire.live.deadline, self.wire.operation, async {
            let mut locked = self.lock().await?;
            if !locked.groups.contains(group) {
                locked.groups.push(group.clone());
                self.replace(&locked).await?;
            }
            self.unlock(locked.list).await
        })
        .await
    }

    async fn lock(&self) -> Result<Locked> {
        let channel = self.wire.live.channel(self.wire.operation).await?;
        let confirm = channel.confirm_select(ConfirmSelectOptions::default()).await;
        confirm.map_err(|e| self.failed(e))?;
        let list = Consuming::begin(channel, &self.queue).await.map_err(|e| self.failed(e))?;
        let mut locked = Locked { list, groups: Vec::new(), last: None };
        let mark = format!("mark-{:x}-{:x}", chance(), chance());
        let properties = BasicProperties::default().with_expiration(MARK_LIVES.into());
        self.send(&locked.list.channel, b"", properties.with_message_id(mark.as_str().into())).await?;
        while let Some(delivery) = locked.list.next().await {
            let delivery = delivery.map_err(|e| self.failed(e))?;
            match id(&delivery) {
                Some(id) if id == mark => {
                    self.forget(&locked.list.channel, delivery.delivery_tag).await?;
                    return Ok(locked);
                }
                // Another reader's mark: it waits for the lock, and for this.
                Some(_) => {}
                None => {
                    locked.groups = read(&delivery.data);
                    locked.last = Some(delivery.delivery_tag);
                }
            }
        }
        Err(Error::new(Kind::Disconnected, self.wire.operation, "the list of groups could not be read"))
    }

    /// The new list is stored before the old one goes: the later one counts if both are left.
    async fn replace(&self, locked: &Locked) -> Result<()> {
        let names: Vec<_> = locked.groups.iter().map(Group::as_str).collect();
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        self.send(&locked.list.channel, names.join("\n").as_bytes(), properties).await?;
        match locked.last {
            Some(tag) => self.forget(&locked.list.channel, tag).await,
            None => Ok(()),
        }
    }

    async fn send(&self, channel: &Channel, payload: &[u8], properties: BasicProperties) -> Result<()> {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let sent = channel.basic_publish("".into(), self.queue.as_str().into(), options, payload, properties);
        let confirmation = sent.await.map_err(|e| self.failed(e))?.await.map_err(|e| self.failed(e))?;
        if confirmation == Confirmation::Ack(None) {
            return Ok(());
        }
        Err(Error::new(Kind::Throttled, self.wire.operation, "the list of groups could not be written"))
    }

    async fn forget(&self, channel: &Channel, tag: u64) -> Result<()> {
        channel.basic_ack(tag, BasicAckOptions::default()).await.map_err(|e| self.failed(e))
    }

    async fn unlock(&self, list: Consuming) -> Result<()> {
        list.close().await.map_err(|e| self.failed(e))
    }

    fn failed(&self, error: lapin::Error) -> Error {
        typed(self.wire.operation, error).on(format!("queue `{}`", self.queue))
    }
}

fn id(delivery: &Delivery) -> Option<&str> {
    delivery.properties.message_id().as_ref().map(|id| id.as_str())
}

fn read(payload: &[u8]) -> Vec<Group> {
    let text = String::from_utf8_lossy(payload);
    text.lines().filter_map(|name| Group::new(name).ok()).collect()
}
