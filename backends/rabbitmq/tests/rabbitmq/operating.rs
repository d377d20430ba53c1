use futures::{StreamExt, future, stream};

use anybroker_core::{Diagnosis, Finding, Group, GroupInfo, Kind, Subscription, Topology};

use crate::support::*;

fn found<'a>(all: &'a [Diagnosis], subject: &str) -> &'a Diagnosis {
    all.iter().find(|one| one.subject == subject).unwrap_or_else(|| panic!("nothing on {subject}: {all:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_with_their_lag() {
    on_servers("", async |broker, _| {
        let topic = declared(&broker, "groups", Some(3)).await;
        let other = Group::new("other").unwrap();
        broker.admin().declare(&Topology::new(topic.clone()).group(other)).await.unwrap();
        let publisher = publisher(&broker, &topic).await;
        publish(&publisher, (0..9).map(|n| (format!("k{n}"), n.to_string()))).await;
        let groups = broker.admin().groups(&topic).await.unwrap();
        let names: Vec<_> = groups.iter().map(|info| info.group.as_str()).collect();
        assert_eq!(names, ["g", "other"]);
        let shape = |info: &GroupInfo| (info.members, info.partitions.len(), info.backlog());
        assert_eq!((shape(&groups[0]), shape(&groups[1])), ((Some(0), 3, 9), (Some(0), 1, 9)));

        let members = [consumer(&broker, &topic).await, consumer(&broker, &topic).await];
        assert_eq!(broker.admin().groups(&topic).await.unwrap()[0].members, Some(2));
        for member in members {
            member.close().await.unwrap();
        }
        // Of one queue only the active consumer shows.
        let other = Subscription::new(topic.clone(), Group::new("other").unwrap());
        let member = broker.consumer(other).await.unwrap();
        assert_eq!(broker.admin().groups(&topic).await.unwrap()[1].members, None);
        member.close().await.unwrap();
        let missing = unique("missing");
        assert_eq!(broker.admin().groups(&missing).await.unwrap_err().kind(), Kind::NotFound);
        clean(&broker, &topic).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diagnosis_says_what_is_permitted_and_what_to_change() {
    on_servers("", async |broker, _| {
        let topic = declared(&broker, "diagnosis", None).await;
        let all = broker.admin().diagnose(Some(&topic)).await.unwrap();
        for subject in ["permission to publish", "permission to configure", "permission to consume", "group"]
        {
            assert_eq!(found(&all, subject).finding, Finding::Fine, "{all:?}");
        }
        assert_ne!(found(&all, "version").finding, Finding::Unknown);
        assert_eq!(broker.admin().backlog(&topic, &group("g")).await.unwrap(), 0, "it published something");
        clean(&broker, &topic).await;

        let all = broker.admin().diagnose(Some(&topic)).await.unwrap();
        assert_eq!(found(&all, "topic").finding, Finding::Failure);
        broker.admin().declare(&Topology::new(topic.clone())).await.unwrap();
        let all = broker.admin().diagnose(Some(&topic)).await.unwrap();
        assert!(found(&all, "groups").text.contains("no group"), "{all:?}");
        clean(&broker, &topic).await;
    })
    .await;
}

/// lapin keeps a refusal by the number of its channel, for the next channel of that number.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_thousands_of_channels_ago_is_nobodys() {
    on_servers("", async |broker, _| {
        let topic = declared(&broker, "refused", Some(1)).await;
        let (admin, asked, group) = (broker.admin(), &topic, group("g"));
        // Each looks for two queues that there are, and for two that there are not: more channels than have numbers.
        let asked = stream::iter(0..800).map(|_| admin.backlog(asked, &group)).buffer_unordered(8);
        assert!(asked.all(|backlog| future::ready(backlog.unwrap() == 0)).await);
        consumer(&broker, &topic).await.close().await.unwrap();
        clean(&broker, &topic).await;
    })
    .await;
}
