//! A service: `cargo run -p first-steps --bin service`, until ctrl-C or SIGTERM.
//!
//! Its handler takes a second for each greeting, many people at once and each person's in order. A signal lets the
//! handlers that run come to an end and hands everything else back; a second one ends it at once.

use std::time::Duration;

use anybroker::worker::{Failure, Worker};
use anybroker::{Event, Group, Key, PublisherExt, PublisherOptions, Result, Subscription, Topic, Topology};

#[derive(serde::Serialize, serde::Deserialize)]
struct Greeting {
    person: String,
    text: String,
}

impl Event for Greeting {
    const TYPE: &'static str = "greeting";

    fn key(&self) -> Option<Key> {
        Some(self.person.as_str().into())
    }
}

async fn greet(greeting: Greeting) -> std::result::Result<(), Failure> {
    println!("begins: {}, {}", greeting.text, greeting.person);
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("done: {}, {}", greeting.text, greeting.person);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let broker = anybroker::connect_from_env("memory://service").await?;
    let (topic, group) = (Topic::new("greetings")?, Group::new("greeters")?);
    broker.admin().declare(&Topology::new(topic.clone()).group(group.clone())).await?;

    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
    for person in ["Ada", "Grace", "Edsger"] {
        for text in ["good morning", "good night"] {
            publisher.publish_event(&Greeting { person: person.into(), text: text.into() }).await?;
        }
    }

    Worker::builder(broker).subscribe(Subscription::new(topic, group), greet).build()?.run().await
}
