use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};

use super::server::Server;
use super::*;
use crate::observer::Observer;
use crate::reports::Reports;

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
        let (server, config) = cluster();
        let consumer: BaseConsumer<Observer> = config.create_with_context(Observer::default()).unwrap();
        comes_back(&server, consumer.client(), consumer.context(), || _ = consumer.poll(Duration::ZERO));
        let (server, config) = cluster();
        let producer: BaseProducer<Reports> = config.create_with_context(Reports::default()).unwrap();
        comes_back(&server, producer.client(), &producer.context().observer, || {
            producer.poll(Duration::ZERO);
        });
    }
}

fn cluster() -> (Server, ClientConfig) {
    let server = Server::start();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server.address());
    (server, config)
}

fn comes_back<C: ClientContext>(server: &Server, client: &Client<C>, observer: &Observer, poll: impl Fn()) {
    let topic = Topic::new("t").unwrap();
    let answers = || client.fetch_metadata(Some(topic.as_str()), Duration::from_millis(200)).is_ok();
    assert!(soon(Duration::from_secs(10), answers), "it is there");
    server.fence(true);
    let _ = client.fetch_metadata(Some(topic.as_str()), Duration::from_secs(1));
    server.fence(false);
    let answers_again = || {
        poll();
        remind(client, observer, &topic, &[server.address()]);
        answers()
    };
    assert!(soon(Duration::from_secs(10), answers_again), "it has forgotten where the cluster is");
}
