//! Exchanges and queues: what a topic and its groups need on the server, checked or created.

use anybroker_core::{Basis, Error, Group, Kind, Result, Topic, TopologyMode};
use lapin::ExchangeKind;
use lapin::types::{AMQPValue, FieldTable};

use crate::config::RabbitConfig;
use crate::connect::Live;
use crate::error::{ACCESS_REFUSED, PRECONDITION_FAILED, code, typed};
use crate::names::{Layout, Names};
use crate::registry::Registry;
use crate::slots::{SLOTS, slots_of};
use crate::wire::Wire;

/// After so many deliveries the broker itself gives up on a message: a backstop far above what applications set.
pub(crate) const DELIVERY_LIMIT: i64 = 1_000;

/// A group as it is, and how that is known.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) layout: Layout,
    pub(crate) basis: Basis,
}

/// The arguments of a group's queue. Each of them is fixed when the queue is made:
/// <https://www.rabbitmq.com/docs/quorum-queues>, <https://www.rabbitmq.com/docs/consumers#single-active-consumer>.
pub(crate) fn queue_arguments(names: &Names) -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-single-active-consumer".into(), true.into());
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(&names.broker_limit()));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

/// The arguments of the queues beside it: no limit that could drop what they hold.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

/// The queues whose messages stay until somebody takes them: what the broker gave up on, and the list of groups. One
/// reader at a time, and as many deliveries as it takes.
fn kept_arguments() -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-single-active-consumer".into(), true.into());
    // Without it, 4.0 and later drop a message after 20 deliveries.
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(i64::from(i32::MAX)));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// Looks after the topology of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeper<'a> {
    wire: Wire<'a>,
    mode: TopologyMode,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(live: &'a Live, operation: &'static str, mode: TopologyMode) -> Self {
        Keeper { wire: Wire::new(live, operation), mode }
    }

    /// Makes sure of the topic as the mode says.
    pub(crate) async fn topic(&self, topic: &Topic) -> Result<()> {
        if self.mode == TopologyMode::Ignore {
            return Ok(());
        }
        if self.mode == TopologyMode::Check && !self.wire.exchange_exists(topic.as_str()).await? {
            return Err(self.missing(format!("there is no topic `{topic}` (no exchange of that name)")));
        }
        match self.wire.declare_exchange(topic.as_str(), ExchangeKind::Fanout, FieldTable::default()).await {
            // Who may not configure may still use what is there.
            Err(error) if self.mode == TopologyMode::Check && error.kind() == Kind::PermissionDenied => {
                Ok(())
            }
            result => result.map_err(|e| e.on(format!("topic `{topic}`"))),
        }
    }

    /// Makes sure of a group as the mode says. `partitions` is what is asked for; none takes what is there.
    pub(crate) async fn group(
        &self,
        topic: &Topic,
        group: &Group,
        config: &RabbitConfig,
        partitions: Option<u32>,
    ) -> Result<Known> {
        let names = Names::new(topic, group)?;
        if self.mode == TopologyMode::Ignore {
            let basis = if config.queue.is_some() { Basis::Stated } else { Basis::Unknown };
            return Ok(Known { layout: Layout { names, partitions }, basis });
        }
        let found = self.find(&names).await?;
        let asked = partitions.or(found.as_ref().and_then(|layout| layout.partitions));
        let layout = Layout { names, partitions: asked };
        match (self.mode, found) {
            (TopologyMode::Create, Some(found)) if found != layout => {
                self.empty_and_unused(&found, &layout).await?;
                self.remove_group(&found).await?;
                self.create(topic, group, layout).await
            }
            (TopologyMode::Create, None) => self.create(topic, group, layout).await,
            (TopologyMode::Create, _) if !self.is_complete(&layout).await? => {
                self.create(topic, group, layout).await
            }
            (_, Some(found)) if found == layout => self.check(layout).await,
            (_, Some(found)) => Err(different(&found, &layout)),
            (_, None) => Err(self.missing(format!("topic `{topic}` has no group `{group}`"))),
        }
    }

    /// The names of the topic's groups.
    pub(crate) fn registry(&self, topic: &Topic) -> Registry<'a> {
        Registry::new(self.wire, topic)
    }

    /// What the group has on the server. AMQP lists nothing, so queues are looked for by their names.
    pub(crate) async fn find(&self, names: &Names) -> Result<Option<Layout>> {
        let layout = |partitions| Some(Layout { names: names.clone(), partitions });
        if self.wire.look(&names.group).await?.is_some() {
            return Ok(layout(None));
        }
        let mut count = 0;
        while count < SLOTS && self.wire.look(&names.partition(count)).await?.is_some() {
            count += 1;
        }
        Ok(if count > 0 { layout(Some(count)) } else { None })
    }

    async fn create(&self, topic: &Topic, group: &Group, layout: Layout) -> Result<Known> {
        let mut basis = Basis::Declared;
        // First, so that whoever deletes the topic finds the group.
        self.registry(topic).add(group, kept_arguments()).await?;
        self.declare_parts(&layout, &mut basis).await?;
        let names = &layout.names;
        match layout.partitions {
            None => self.wire.bind_queue(&names.group, &names.topic, [String::new()]).await?,
            Some(partitions) => {
                for number in 0..partitions {
                    let slots = slots_of(number, partitions).map(|slot| slot.to_string());
                    self.wire.bind_queue(&names.partition(number), &names.group, slots).await?;
                }
                self.wire.bind_queue(&names.partition(0), &names.others(), [String::new()]).await?;
                // After every queue is in its place, so that no message goes astray.
                self.wire.bind_exchange(&names.group, &names.topic).await?;
            }
        }
        // Last: AMQP does not show bindings, and this queue tells that they have been made.
        self.declare(&names.broker_limit(), kept_arguments()).await?;
        Ok(Known { layout, basis })
    }

    /// Whether `create` has come to its end.
    async fn is_complete(&self, layout: &Layout) -> Result<bool> {
        Ok(self.wire.look(&layout.names.broker_limit()).await?.is_some())
    }

    /// Everything must be there, and what is there must be what we need.
    async fn check(&self, layout: Layout) -> Result<Known> {
        let mut beside = vec![layout.names.broker_limit()];
        beside.extend(layout.partitions.map(|_| layout.names.members()));
        for queue in beside {
            if self.wire.look(&queue).await?.is_none() {
                return Err(self.missing(format!("the group is not complete: queue `{queue}` is missing")));
            }
        }
        let mut basis = Basis::Declared;
        let limit = self.declare(&layout.names.broker_limit(), kept_arguments()).await;
        limit.or_else(|e| self.tolerate(e, &mut basis))?;
        self.declare_parts(&layout, &mut basis).await?;
        Ok(Known { layout, basis })
    }

    /// Declares the group's exchange and queues; on existing ones this succeeds only if the arguments are equal.
    async fn declare_parts(&self, layout: &Layout, basis: &mut Basis) -> Result<()> {
        let names = &layout.names;
        let mut parts: Vec<_> = layout.queues().map(|queue| (queue, queue_arguments(names))).collect();
        if layout.partitions.is_some() {
            let mut alternate = FieldTable::default();
            alternate.insert("alternate-exchange".into(), text(&names.others()));
            for (name, kind, arguments) in [
                (names.others(), ExchangeKind::Fanout, FieldTable::default()),
                (names.group.clone(), ExchangeKind::Direct, alternate),
            ] {
                let declared = self.wire.declare_exchange(&name, kind, arguments).await;
                declared.or_else(|e| self.tolerate(e, basis))?;
            }
            parts.push((names.members(), quorum()));
        }
        for (queue, arguments) in parts {
            self.declare(&queue, arguments).await.or_else(|e| self.tolerate(e, basis))?;
        }
        Ok(())
    }

    /// Who may not configure may use what is there, but nobody knows then what it is.
    fn tolerate(&self, error: Error, basis: &mut Basis) -> Result<()> {
        if self.mode == TopologyMode::Check && error.kind() == Kind::PermissionDenied {
            *basis = Basis::Unknown;
            return Ok(());
        }
        Err(error)
    }

    async fn declare(&self, queue: &str, arguments: FieldTable) -> Result<()> {
        let Err(error) = self.wire.declare_queue(queue, arguments).await? else { return Ok(()) };
        let difference = code(&error) == PRECONDITION_FAILED;
        let refused = code(&error) == ACCESS_REFUSED;
        let error = typed(self.wire.operation, error).on(format!("queue `{queue}`"));
        Err(match (difference, refused) {
            (true, _) => error.advice(
                "delete the queue when it is empty and declare the group again, or use a group of another name",
            ),
            (_, true) => error.advice("the user needs the permission to configure it"),
            _ => error,
        })
    }

    /// Deletes the group's queues with what they hold.
    pub(crate) async fn remove_group(&self, layout: &Layout) -> Result<()> {
        if layout.partitions.is_some() {
            self.wire.delete_exchange(&layout.names.group).await?;
            self.wire.delete_exchange(&layout.names.others()).await?;
            self.wire.delete_queue(&layout.names.members()).await?;
        }
        for queue in layout.queues() {
            self.wire.delete_queue(&queue).await?;
        }
        self.wire.delete_queue(&layout.names.broker_limit()).await
    }

    /// A key would lose its order if it moved to another queue while messages of it wait in the old one.
    async fn empty_and_unused(&self, found: &Layout, asked: &Layout) -> Result<()> {
        for queue in found.queues() {
            let Some(seen) = self.wire.look(&queue).await? else { continue };
            if seen.ready > 0 || seen.consumers > 0 {
                let text =
                    format!("queue `{queue}` has {} messages and {} consumers", seen.ready, seen.consumers);
                return Err(different(found, asked).on(text));
            }
        }
        Ok(())
    }

    fn missing(&self, text: String) -> Error {
        Error::new(Kind::NotFound, self.wire.operation, text).advice(
            "create it: anybroker topics create URL TOPIC --groups GROUP, or add topology=create to the URL",
        )
    }
}

fn different(found: &Layout, asked: &Layout) -> Error {
    let words = |layout: &Layout| match layout.partitions {
        Some(n) => format!("{n} partitions"),
        None => "one queue without partitions".to_owned(),
    };
    let text = format!("the group has {}, and {} are asked for", words(found), words(asked));
    let advice = match found.partitions {
        Some(n) => format!("state partitions={n}, or change it when the group is empty and nobody consumes"),
        None => "leave partitions= out, or change it when the group is empty and nobody consumes".to_owned(),
    };
    Error::new(Kind::InvalidConfiguration, "declare", text).advice(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_says_both_sides_and_what_to_do() {
        let names = Names::new(&"t".parse().unwrap(), &"g".parse().unwrap()).unwrap();
        let layout = |partitions| Layout { names: names.clone(), partitions };
        let text = different(&layout(Some(6)), &layout(Some(4))).to_string();
        for part in ["6 partitions", "4 partitions", "partitions=6", "empty"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
