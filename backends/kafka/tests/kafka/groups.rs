use anybroker_core::{Finding, Group, Kind, Topic, Topology};

use crate::support::*;

#[tokio::test]
async fn groups_are_listed_with_their_lag_whether_or_not_anybody_is_in_them() {
    let broker = connect("").await;
    let topic = topic(&broker, 3).await;
    let (idle, busy) = (group(), group());
    let topology = Topology::new(topic.clone()).partitions(3).group(idle.clone()).group(busy.clone());
    broker.admin().declare(&topology).await.unwrap();
    publish(&broker, &topic, "k", 0..7).await;
    let mut consumer = consumer(&broker, &topic, &busy).await;
    ack(next(&mut consumer).await).await;
    consumer.settler().flush().await.unwrap();

    let groups = broker.admin().groups(&topic).await.unwrap();
    let found = |group: &Group| groups.iter().find(|info| info.group == group.as_str()).unwrap();
    assert_eq!(groups.len(), 2, "{groups:?}");
    assert_eq!((found(&idle).members, found(&idle).backlog()), (Some(0), 7));
    assert_eq!((found(&busy).members, found(&busy).backlog()), (Some(1), 6));
    for info in &groups {
        let numbers: Vec<_> = info.partitions.iter().map(|lag| lag.partition).collect();
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(info.partitions.iter().filter(|lag| lag.backlog > 0).count(), 1, "one key, one partition");
    }
    consumer.close().await.unwrap();
    let missing = Topic::new(unique("missing")).unwrap();
    assert_eq!(broker.admin().groups(&missing).await.unwrap_err().kind(), Kind::NotFound);
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test]
async fn groups_that_the_broker_shares_out_are_listed_too() {
    let broker = connect("group_protocol=consumer").await;
    let topic = topic(&broker, 2).await;
    publish(&broker, &topic, "k", 0..3).await;
    let group = group();
    let mut consumer = consumer(&broker, &topic, &group).await;
    ack(next(&mut consumer).await).await;
    consumer.settler().flush().await.unwrap();
    let groups = broker.admin().groups(&topic).await.unwrap();
    let [info] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((info.group.as_str(), info.backlog()), (group.as_str(), 2));
    assert_ne!(info.members, Some(0), "the broker does not describe them by the classic request");
    consumer.close().await.unwrap();
    broker.admin().delete(&topic).await.unwrap();
}

#[tokio::test]
async fn a_diagnosis_changes_nothing_and_says_what_to_change() {
    let broker = connect("").await;
    let topic = topic(&broker, 1).await;
    let found = broker.admin().diagnose(Some(&topic)).await.unwrap();
    let of = |subject: &str| {
        let found = found.iter().find(|one| one.subject == subject);
        found.unwrap_or_else(|| panic!("nothing is said about {subject}: {found:?}"))
    };
    assert_eq!(of("permission to publish").finding, Finding::Fine, "{found:?}");
    assert_eq!(of("permission to consume").finding, Finding::Fine, "{found:?}");
    assert_eq!((of("version").finding, of("clock").finding), (Finding::Unknown, Finding::Unknown));
    let replication = of("replication");
    assert_eq!(replication.finding, Finding::Warning);
    assert!(replication.advice.as_ref().unwrap().contains("min.insync.replicas=2"), "{replication:?}");
    let everything = group();
    broker.admin().declare(&Topology::new(topic.clone()).group(everything.clone())).await.unwrap();
    assert_eq!(broker.admin().backlog(&topic, &everything).await.unwrap(), 0, "it published something");
    let groups = broker.admin().groups(&topic).await.unwrap();
    assert_eq!(groups.len(), 1, "it joined a group: {groups:?}");

    let missing = Topic::new(unique("missing")).unwrap();
    let found = broker.admin().diagnose(Some(&missing)).await.unwrap();
    let topic_finding = found.iter().find(|one| one.subject == "topic").unwrap();
    assert_eq!(topic_finding.finding, Finding::Failure);
    assert!(topic_finding.text.contains("topics create"), "{}", topic_finding.text);
    broker.admin().delete(&topic).await.unwrap();
}
