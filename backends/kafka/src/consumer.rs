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
use crate::turns::Turns;

/// Joins the group and starts the loop. Blocks for a request at most.
///
/// # Errors
/// `InvalidConfiguration` if librdkafka does not take a setting; whatever looking up the ends fails with.
pub(crate) fn open(
    cluster: &Arc<Cluster>,
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

    let consumer = Arc::new(consumer);
    let session = Session::new(subscription, None, dead_letters);
    let (link, commands) = LoopLink::new(cluster, &session, consumer.context().clone(), wake.clone());
    let looping = Loop::new(consumer, session.clone(), wake, config, commands, start)?;
    let turns = Turns::new(looping);
    let run = turns.clone();
    link.own(turns, blocking::spawn("kafka-consumer", move || run.run())?);
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
    // Added to and never copied: the map that it shows has no secrets in it.
    let mut native = config.base();
    // What the user passes through wins over these, and over nothing of the following.
    for (name, value) in preferences(config) {
        if native.get(name).is_none() {
            native.set(name, value);
        }
    }
    native
        .set("group.id", subscription.group.as_str())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed");
    native
}

fn preferences(config: &KafkaConfig) -> Vec<(&'static str, String)> {
    let mut all = vec![
        // What is fetched ahead of the session's own buffer.
        ("queued.max.messages.kbytes", "16384".to_owned()),
        ("fetch.queue.backoff.ms", "1".to_owned()),
        // A partition whose queue was full is in no request until the one before it is answered, which the broker
        // holds for so long if the other partitions have nothing: what was read ahead lasts for 50 ms at 320 MB/s.
        ("fetch.wait.max.ms", "50".to_owned()),
        // How long a topic may be unknown before that is reported; it was there when the consumer was opened.
        ("topic.metadata.propagation.max.ms", "5000".to_owned()),
    ];
    match config.group_protocol {
        GroupProtocol::Classic => {
            let session = config.session_timeout;
            all.extend([
                ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
                ("session.timeout.ms", session.as_millis().to_string()),
                ("heartbeat.interval.ms", (session / 3).as_millis().min(3_000).to_string()),
            ]);
        }
        GroupProtocol::Consumer => all.push(("group.protocol", "consumer".to_owned())),
    }
    all
}

#[cfg(test)]
mod tests {
    use anybroker_core::{Group, Secret, Topic};

    use super::*;

    #[test]
    fn the_login_reaches_the_consumer_and_the_user_wins_over_preferences() {
        let config = KafkaConfig::new(["h:9092"])
            .login("alice", Secret::new("hunter2"), "SCRAM-SHA-512")
            .native("session.timeout.ms", "6000");
        let subscription = Subscription::new(Topic::new("t").unwrap(), Group::new("g").unwrap());
        let native = settings(&config, &subscription).create_native_config().unwrap();
        assert_eq!(native.get("sasl.password").unwrap(), "hunter2");
        assert_eq!(native.get("session.timeout.ms").unwrap(), "6000");
        assert_eq!(native.get("queued.max.messages.kbytes").unwrap(), "16384");
        assert_eq!(native.get("fetch.wait.max.ms").unwrap(), "50");
    }
}
