//! Reply topics: whose they are, and what becomes of them.

use anybroker_core::{Broker, Group, Kind, Message, Topic, Topology};
use anybroker_patterns::request_reply::{Requester, RequesterOptions, Responder};

use super::{LONG, Service, memory, price, requester, sqlite, topic, until};

async fn topics(broker: &Broker) -> Vec<String> {
    let found = broker.admin().topics().await.unwrap();
    found.into_iter().map(|info| info.topic).filter(|name| name.contains("replies")).collect()
}

#[tokio::test]
async fn a_reply_topic_goes_with_its_requester() {
    let directory = tempfile::tempdir().unwrap();
    for broker in [memory().await, sqlite(&directory).await] {
        let requester = requester(&broker).await;
        assert_eq!(topics(&broker).await, [requester.reply_topic().as_str()]);
        assert!(requester.reply_topic().as_str().starts_with("prices-replies-"));
        requester.close().await.unwrap();
        assert_eq!(topics(&broker).await, [""; 0]);
    }
}

#[tokio::test]
async fn an_existing_reply_topic_stays() {
    let broker = memory().await;
    let service = Service::start(&broker, Responder::new(broker.clone(), price));
    let (existing, group) = (Topic::new("shop-1-replies").unwrap(), Group::new("shop-1").unwrap());
    broker.admin().declare(&Topology::new(existing.clone()).group(group.clone())).await.unwrap();
    for _ in 0..2 {
        let options = RequesterOptions::new().reply_to(existing.clone(), group.clone());
        let requester = Requester::open(&broker, topic(), options).await.unwrap();
        requester.request(Message::new("kiwi"), LONG).await.unwrap();
        requester.close().await.unwrap();
        assert_eq!(topics(&broker).await, ["shop-1-replies"]);
    }
    service.end().await;
}

#[tokio::test]
async fn a_requester_that_is_gone_is_no_failure_and_its_topic_is_not_made_again() {
    let directory = tempfile::tempdir().unwrap();
    for broker in [memory().await, sqlite(&directory).await] {
        let gone = requester(&broker).await;
        let asked = async {
            let closed = async {
                until(|| gone.in_flight() == 1).await;
                // Time for the confirmation: nobody answers.
                while broker.admin().backlog(&topic(), pricing()).await.unwrap() == 0 {
                    tokio::task::yield_now().await;
                }
                gone.close().await.unwrap();
            };
            tokio::join!(gone.request(Message::new("kiwi"), LONG), closed).0
        };
        let group = Topology::new(topic()).group(pricing().clone());
        broker.admin().declare(&group).await.unwrap();
        assert_eq!(asked.await.unwrap_err().kind(), Kind::Closed);

        let responder = Responder::new(broker.clone(), price);
        let service = Service::start(&broker, responder.clone());
        let next = requester(&broker).await;
        next.request(Message::new("plum"), LONG).await.unwrap();
        until(|| responder.answered().gone == 1).await;
        assert_eq!(topics(&broker).await, [next.reply_topic().as_str()]);
        next.close().await.unwrap();
        service.end().await;
    }
}

fn pricing() -> &'static Group {
    static GROUP: std::sync::OnceLock<Group> = std::sync::OnceLock::new();
    GROUP.get_or_init(|| Group::new("pricing").unwrap())
}

#[tokio::test]
async fn more_requesters_than_publishers_are_kept_open() {
    let broker = memory().await;
    let responder = Responder::new(broker.clone(), price);
    let service = Service::start(&broker, responder.clone());
    for _ in 0..100 {
        let requester = requester(&broker).await;
        requester.request(Message::new("kiwi"), LONG).await.unwrap();
        requester.close().await.unwrap();
    }
    assert_eq!(responder.answered().answered, 100);
    service.end().await;
    responder.close().await.unwrap();
}
