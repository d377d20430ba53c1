use std::sync::Arc;
use std::time::{Duration, Instant};

use anybroker_core::{Message, Publisher, PublisherOptions, Topic};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::server::Server;
use super::*;
use crate::blocking;
use crate::config::KafkaConfig;
use crate::observer::Observer;
use crate::producers::Producers;
use crate::publisher::KafkaPublisher;
use crate::supervise::Supervised;

/// Whether it holds within the time.
fn soon(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + within;
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Without being told, two of three clients never come back.
#[test]
fn a_client_that_was_told_of_no_broker_comes_back() {
    for _ in 0..10 {
        let server = Server::start();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", server.address());
        let client: BaseConsumer<Observer> = config.create_with_context(Observer::default()).unwrap();
        let answers = || client.fetch_metadata(Some("t"), Duration::from_millis(200)).is_ok();
        assert!(soon(Duration::from_secs(10), answers), "it is there");
        server.fence(true);
        let _ = client.fetch_metadata(Some("t"), Duration::from_secs(1));
        server.fence(false);
        let answers_again = || {
            client.poll(Duration::ZERO);
            if client.context().take_deserted() {
                tell_addresses(client.client(), &[server.address()]);
            }
            answers()
        };
        assert!(soon(Duration::from_secs(10), answers_again), "it has forgotten where the cluster is");
    }
}

#[test]
fn a_publisher_whose_brokers_are_gone_is_told_of_others() {
    let server = Server::start();
    // Nobody answers there.
    let producers = Arc::new(Producers::new(KafkaConfig::new(["127.0.0.1:1"])));
    let options = PublisherOptions::new(Topic::new("t").unwrap());
    let publisher = KafkaPublisher::open(producers, &options, 1_000_000).unwrap();
    let permit = blocking::wait(Duration::from_secs(1), publisher.ready(1, 10)).unwrap().unwrap();
    let _confirmations = publisher.enqueue(permit, vec![Message::new("x")]);
    let asks = || {
        publisher.remind(&[server.address()]);
        server.answered() > 0
    };
    assert!(soon(Duration::from_secs(10), asks));
}
