//! What an operator would look at in a server. Nothing here changes it.

use anybroker_core::{Basis, Diagnosis, Error, Finding, Group, Kind, Result, Topic, TopologyMode};
use lapin::ExchangeKind;
use lapin::types::FieldTable;

use crate::config::RabbitConfig;
use crate::connect::Live;
use crate::error::ACCESS_REFUSED;
use crate::names::Names;
use crate::server::Server;
use crate::topology::{Keeper, Known};
use crate::wire::Wire;

const OPERATION: &str = "diagnose";
const CONSUME: &str = "permission to consume";
const CONFIGURE: &str = "permission to configure";
const PUBLISH: &str = "permission to publish";

/// Looks at the server, and at a topic with its groups.
pub(crate) async fn of(config: &RabbitConfig, live: &Live, topic: Option<&Topic>) -> Vec<Diagnosis> {
    let mut found = vec![version(&live.server), heartbeat(live.connection.configuration().heartbeat())];
    found.push(alarms(live.connection.status().blocked()));
    found.push(settings());
    found.push(replication(config));
    found.push(clock());
    if let Some(topic) = topic {
        let wire = Wire::new(live, OPERATION);
        found.extend(
            of_topic(config, &wire, topic).await.unwrap_or_else(|error| vec![failed("topic", &error)]),
        );
    }
    found
}

fn failed(subject: &'static str, error: &Error) -> Diagnosis {
    Diagnosis::new(subject, Finding::Failure, error.to_string())
}

/// <https://www.rabbitmq.com/release-information>
fn version(server: &Server) -> Diagnosis {
    let Some(text) = &server.text else {
        return Diagnosis::new("version", Finding::Unknown, "the server does not say its version");
    };
    if !server.since(3, 10) {
        let text = format!("RabbitMQ {text}: too old for quorum queues as anybroker needs them");
        return Diagnosis::new("version", Finding::Failure, text).advice("3.10 or later");
    }
    if !server.since(4, 0) {
        let text = format!("RabbitMQ {text}: the 3 series has no community support any more");
        return Diagnosis::new("version", Finding::Warning, text).advice("upgrade to 4");
    }
    Diagnosis::new("version", Finding::Fine, format!("RabbitMQ {text}"))
}

fn heartbeat(seconds: u16) -> Diagnosis {
    match seconds {
        0 => Diagnosis::new("heartbeat", Finding::Warning, "off: a dead connection is noticed late or never")
            .advice("heartbeat= in the URL, and on the server"),
        _ => Diagnosis::new(
            "heartbeat",
            Finding::Fine,
            format!("every {seconds} s, as agreed with the server"),
        ),
    }
}

fn alarms(blocked: bool) -> Diagnosis {
    if blocked {
        let text = "the server has blocked the connection: it is short of memory or disk";
        return Diagnosis::new("alarms", Finding::Failure, text)
            .advice("rabbitmq-diagnostics check_local_alarms says of which");
    }
    let text = "the server tells of a memory or disk alarm only while it is being published to";
    Diagnosis::new("alarms", Finding::Unknown, text)
        .advice("--round-trip, or rabbitmq-diagnostics check_local_alarms")
}

fn settings() -> Diagnosis {
    let text = "AMQP shows neither policies, which can drop messages (message-ttl, max-length, expires), nor \
                consumer_timeout (30 min unless changed), after which a held delivery costs its channel";
    Diagnosis::new("server settings", Finding::Unknown, text)
        .advice("rabbitmqctl list_policies; rabbitmqctl environment")
}

fn replication(config: &RabbitConfig) -> Diagnosis {
    match config.replicas {
        Some(1) => {
            Diagnosis::new("replication", Finding::Warning, "one replica (stated): one disk has each message")
                .advice("3 nodes")
        }
        Some(replicas) => {
            Diagnosis::new("replication", Finding::Fine, format!("{replicas} replicas (stated)"))
        }
        None => {
            Diagnosis::new("replication", Finding::Unknown, "AMQP does not tell on how many nodes a queue is")
                .advice("rabbitmq-queues quorum_status QUEUE; state it in the URL: replicas=3")
        }
    }
}

fn clock() -> Diagnosis {
    Diagnosis::new("clock", Finding::Unknown, "AMQP does not tell the server's time")
        .advice("compare `date` on both sides, if times of messages matter")
}

async fn of_topic(config: &RabbitConfig, wire: &Wire<'_>, topic: &Topic) -> Result<Vec<Diagnosis>> {
    let keeper = Keeper::new(wire.live, OPERATION, TopologyMode::Check);
    if !wire.exchange_exists(topic.as_str()).await? {
        return Ok(keeper
            .topic(topic)
            .await
            .err()
            .map(|error| failed("topic", &error))
            .into_iter()
            .collect());
    }
    let mut found = vec![may_publish(wire, topic).await?, may_configure(wire, topic).await?];
    match keeper.registry(topic).groups().await {
        Ok(groups) if groups.is_empty() => found.push(no_group()),
        Ok(groups) => {
            for group in groups {
                found.extend(of_group(config, wire, topic, &group).await?);
            }
        }
        Err(error) => found.push(Diagnosis::new("groups", Finding::Unknown, error.to_string())),
    }
    Ok(found)
}

fn no_group() -> Diagnosis {
    let text = "the topic has no group: what is published is refused, because nobody would keep it";
    Diagnosis::new("groups", Finding::Warning, text)
        .advice("anybroker topics create URL TOPIC --groups GROUP")
}

/// The broker's words where it refuses for lack of permission.
fn refusal(reply: lapin::Result<()>) -> Option<String> {
    let error = reply.err()?;
    let (code, text) = crate::error::reply(&error)?;
    (code == ACCESS_REFUSED).then(|| text.to_owned())
}

async fn may_publish(wire: &Wire<'_>, topic: &Topic) -> Result<Diagnosis> {
    let refused = refusal(wire.unbind_nothing(topic.as_str()).await?);
    // Reading the other end is asked for too, after writing: publishing does not need it.
    Ok(match refused.filter(|text| text.contains(&format!("'{topic}'"))) {
        Some(text) => Diagnosis::new(PUBLISH, Finding::Failure, text)
            .advice(format!("rabbitmqctl set_permissions: the user's write pattern must match {topic}")),
        None => Diagnosis::new(PUBLISH, Finding::Fine, "publishing to the topic is permitted"),
    })
}

async fn may_configure(wire: &Wire<'_>, topic: &Topic) -> Result<Diagnosis> {
    match wire.declare_exchange(topic.as_str(), ExchangeKind::Fanout, FieldTable::default()).await {
        Ok(()) => Ok(Diagnosis::new(CONFIGURE, Finding::Fine, "declaring the topic is permitted")),
        Err(error) if error.kind() == Kind::PermissionDenied => {
            let text = "the user may not configure: what queues really are cannot be verified, and counts as unknown";
            Ok(Diagnosis::new(CONFIGURE, Finding::Warning, text).advice(format!(
                "rabbitmqctl set_permissions: a configure pattern that matches {topic}; consumers of partitions need \
                 it for their locks, {topic}:GROUP:N:lock"
            )))
        }
        Err(error) => Ok(failed("topic", &error.on(format!("topic `{topic}`")))),
    }
}

async fn of_group(
    config: &RabbitConfig,
    wire: &Wire<'_>,
    topic: &Topic,
    group: &Group,
) -> Result<Vec<Diagnosis>> {
    let keeper = Keeper::new(wire.live, OPERATION, TopologyMode::Check);
    let known = match keeper.group(topic, group, config, config.partitions).await {
        Ok(known) => known,
        Err(error) => return Ok(vec![failed("group", &error)]),
    };
    let mut found = vec![queues(group, &known)];
    if known.basis == Basis::Declared {
        found.push(may_consume(wire, group, &known).await?);
    }
    let names = Names::new(topic, group)?;
    let given_up = wire.look(&names.broker_limit()).await?.map_or(0, |seen| seen.ready);
    if given_up > 0 {
        let text =
            format!("group `{group}`: the broker gave up on {given_up} message(s) after its delivery limit");
        found.push(Diagnosis::new("dead letters", Finding::Warning, text).advice(format!(
            "they wait in queue {} until a consumer with a dead letter topic moves them there",
            names.broker_limit()
        )));
    }
    Ok(found)
}

fn queues(group: &Group, known: &Known) -> Diagnosis {
    let count = match known.layout.partitions {
        Some(partitions) => format!("{partitions} queues"),
        None => "one queue".to_owned(),
    };
    if known.basis == Basis::Declared {
        let text = format!(
            "group `{group}`: {count}, quorum, single active consumer, delivery limit {}",
            crate::topology::DELIVERY_LIMIT
        );
        return Diagnosis::new("group", Finding::Fine, text);
    }
    let text = format!("group `{group}`: {count}, whose type and arguments this user cannot verify");
    Diagnosis::new("group", Finding::Unknown, text).advice("rabbitmqctl list_queues name type arguments")
}

/// Only for queues that are known to refuse `basic.get`.
async fn may_consume(wire: &Wire<'_>, group: &Group, known: &Known) -> Result<Diagnosis> {
    Ok(match refusal(wire.get_nothing(&known.layout.queue(0)).await?) {
        Some(text) => Diagnosis::new(CONSUME, Finding::Failure, text).advice(format!(
            "rabbitmqctl set_permissions: the user's read pattern must match {}",
            known.layout.names.group
        )),
        None => {
            let text = format!("group `{group}`: consuming is permitted");
            Diagnosis::new(CONSUME, Finding::Fine, text)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged() {
        for (text, expected) in
            [("3.9.2", Finding::Failure), ("3.10.8", Finding::Warning), ("4.0.5", Finding::Fine)]
        {
            assert_eq!(version(&Server::new(Some(text.to_owned()))).finding, expected, "{text}");
        }
        assert_eq!(version(&Server::new(None)).finding, Finding::Unknown);
        assert_eq!((heartbeat(0).finding, heartbeat(10).finding), (Finding::Warning, Finding::Fine));
    }
}
