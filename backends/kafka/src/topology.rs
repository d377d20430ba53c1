//! Topics: looking whether they are as stated, making them, removing them. All of it blocks, within a deadline.

use std::time::{Duration, Instant};

use anybroker_core::{Error, Kind, Result, Topic, Topology, TopologyMode};
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::blocking::wait;
use crate::cluster::{Cluster, TopicView};
use crate::error;
use crate::guarantees::missing;

/// How often the cluster is asked whether a change has arrived everywhere: it does not tell by itself.
const ASK: Duration = Duration::from_millis(50);

/// What opening a publisher or consumer does about its topic.
///
/// # Errors
/// `NotFound`, `InvalidConfiguration` with the difference.
pub(crate) fn ensure(cluster: &Cluster, operation: &'static str, topic: &Topic) -> Result<()> {
    let topology = Topology::new(topic.clone());
    match cluster.config.topology {
        TopologyMode::Ignore => Ok(()),
        TopologyMode::Create => declare(cluster, operation, &topology).map(|_| ()),
        TopologyMode::Check => match cluster.topic(operation, topic.as_str())? {
            Some(view) => fits(cluster, operation, &topology, &view),
            None => Err(missing(operation, topic)),
        },
    }
}

/// Makes sure that the topic is there as stated.
///
/// # Errors
/// `InvalidConfiguration` with the difference; whatever creating fails with.
pub(crate) fn declare(cluster: &Cluster, operation: &'static str, topology: &Topology) -> Result<TopicView> {
    if let Some(view) = cluster.topic(operation, topology.topic.as_str())? {
        fits(cluster, operation, topology, &view)?;
        return Ok(view);
    }
    create(cluster, operation, topology)?;
    let view = appear(cluster, operation, &topology.topic)?;
    fits(cluster, operation, topology, &view)?;
    Ok(view)
}

fn fits(cluster: &Cluster, operation: &'static str, topology: &Topology, view: &TopicView) -> Result<()> {
    let differs = |what: &str, stated: String, there: usize| {
        let text = format!("the topic has {there} {what}, and {stated} are stated");
        Err(Error::new(Kind::InvalidConfiguration, operation, text)
            .on(format!("topic `{}`", topology.topic))
            .advice(
                "state what is there, or change the topic; more partitions move keys to other partitions",
            ))
    };
    let partitions = topology.partitions.or(cluster.config.partitions);
    if let Some(stated) = partitions.filter(|stated| *stated as usize != view.partitions.len()) {
        return differs("partitions", stated.to_string(), view.partitions.len());
    }
    if let Some(stated) = cluster.config.replication.filter(|stated| usize::from(*stated) != view.replicas) {
        return differs("replicas", stated.to_string(), view.replicas);
    }
    Ok(())
}

fn create(cluster: &Cluster, operation: &'static str, topology: &Topology) -> Result<()> {
    // −1: the broker's default.
    let partitions = topology.partitions.or(cluster.config.partitions).map_or(-1, |n| n as i32);
    let replication = cluster.config.replication.map_or(-1, i32::from);
    let topic = NewTopic::new(topology.topic.as_str(), partitions, TopicReplication::Fixed(replication));
    let request = cluster.admin.create_topics([&topic], &cluster.options());
    match answer(cluster, request) {
        // Somebody else was faster; whether theirs fits is looked at next.
        Ok(()) | Err(KafkaError::AdminOp(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
        Err(error) => Err(error::of(operation, error).on(format!("topic `{}`", topology.topic))),
    }
}

fn answer(
    cluster: &Cluster,
    request: impl Future<Output = Result<Vec<rdkafka::admin::TopicResult>, KafkaError>>,
) -> Result<(), KafkaError> {
    let results = wait(cluster.config.request_timeout, request)
        .unwrap_or(Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)))?;
    for result in results {
        result.map_err(|(_, code)| KafkaError::AdminOp(code))?;
    }
    Ok(())
}

fn appear(cluster: &Cluster, operation: &'static str, topic: &Topic) -> Result<TopicView> {
    until(cluster, operation, topic, "it was created, and has no leader yet", || {
        Ok(cluster.topic(operation, topic.as_str())?.filter(|view| view.led))
    })
}

/// Asks until the cluster answers as it should, within the deadline of a request.
fn until<T>(
    cluster: &Cluster,
    operation: &'static str,
    topic: &Topic,
    otherwise: &str,
    ask: impl Fn() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + cluster.config.request_timeout;
    loop {
        if let Some(value) = ask()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            return Err(Error::new(Kind::TimedOut, operation, otherwise).on(format!("topic `{topic}`")));
        }
        std::thread::sleep(ASK);
    }
}

/// Deletes the topic and waits until it is gone. Kafka forgets its groups' offsets with it.
///
/// # Errors
/// `NotFound`; whatever deleting fails with.
pub(crate) fn delete(cluster: &Cluster, topic: &Topic) -> Result<()> {
    let names = [topic.as_str()];
    answer(cluster, cluster.admin.delete_topics(&names, &cluster.options())).map_err(
        |error| match error {
            KafkaError::AdminOp(RDKafkaErrorCode::UnknownTopicOrPartition) => missing("topics delete", topic),
            error => error::of("topics delete", error).on(format!("topic `{topic}`")),
        },
    )?;
    until(cluster, "topics delete", topic, "it is marked for deletion, and still there", || {
        Ok(cluster.topic("topics delete", topic.as_str())?.is_none().then_some(()))
    })
}
