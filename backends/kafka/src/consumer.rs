//! Opening a consumer.

use std::sync::Arc;

use anybroker_core::kit::{Session, SessionConsumer};
use anybroker_core::{Publisher, Result, Start as From, Subscription};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::assignment::Start;
use crate::blocking;
use crate::cluster::Cluster;
use crate::config::{GroupProtocol, KafkaConfig};
use crate::error;
use crate::fetch::Loop;
use crate::link::{LoopLink, Wake};
use crate::rebalance::Member;

/// Joins the group and starts the loop. Blocks for a request at most.
///
/// # Errors
/// `InvalidConfiguration` if librdkafka does not take a setting; whatever looking up the ends fails with.
pub(crate) fn open(
    cluster: &Cluster,
    subscription: Subscription,
    dead_letters: Option<Arc<dyn Publisher>>,
) -> Result<(SessionConsumer, Arc<LoopLink>)> {
    let config = cluster.config.clone();
    let start = start(cluster, &subscription)?;
    let native = settings(&config, &subscription);
    let mut consumer: BaseConsumer<Member> =
        native.create_with_context(Member::default()).map_err(|e| error::of("open", e))?;
    let wake = Arc::new(Wake::default());
    let waker = wake.clone();
    consumer.set_nonempty_callback(move || waker.wake());
    consumer.subscribe(&[subscription.topic.as_str()]).map_err(|e| error::of("open", e))?;

    let session = Session::new(subscription, None, dead_letters);
    let (link, commands) = LoopLink::new(&config, &session, consumer.context().clone(), wake.clone());
    let looping = Loop::new(Arc::new(consumer), session.clone(), wake, config, commands, start)?;
    link.own(blocking::spawn("kafka-consumer", move || looping.run())?);
    Ok((session.connect(link.clone()), link))
}

fn start(cluster: &Cluster, subscription: &Subscription) -> Result<Start> {
    let topic = &subscription.topic;
    match subscription.start {
        From::Resume => Ok(Start::Resume),
        From::Earliest => Ok(Start::Earliest),
        From::Latest => {
            let view = cluster.topic("open", topic.as_str())?;
            let partitions = view.map(|view| view.partitions).unwrap_or_default();
            let end = |partition| Ok((partition, cluster.watermarks("open", topic.as_str(), partition)?.1));
            Ok(Start::Latest(partitions.into_iter().map(end).collect::<Result<_>>()?))
        }
    }
}

fn settings(config: &KafkaConfig, subscription: &Subscription) -> ClientConfig {
    let mut native = ClientConfig::new();
    native
        // What is fetched ahead of the session's own buffer.
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.queue.backoff.ms", "1");
    match config.group_protocol {
        GroupProtocol::Classic => {
            native
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("session.timeout.ms", config.session_timeout.as_millis().to_string())
                .set(
                    "heartbeat.interval.ms",
                    (config.session_timeout / 3).as_millis().min(3_000).to_string(),
                );
        }
        GroupProtocol::Consumer => {
            native.set("group.protocol", "consumer");
        }
    }
    // What the user passes through wins over these, and over nothing of the following.
    for (name, value) in config.base().config_map() {
        native.set(name, value);
    }
    native
        .set("group.id", subscription.group.as_str())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed");
    native.set_log_level(config.base().log_level);
    native
}
