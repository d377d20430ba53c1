//! Publish and consume: `cargo run -p first-steps --bin hello`.

use anybroker::{
    ConsumerExt, Group, Message, PublisherExt, PublisherOptions, Result, Subscription, Topic, Topology,
};

#[tokio::main]
async fn main() -> Result<()> {
    let broker = anybroker::connect_from_env("memory://hello").await?;
    let (topic, group) = (Topic::new("hello")?, Group::new("greeters")?);
    broker.admin().declare(&Topology::new(topic.clone()).group(group.clone())).await?;

    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
    publisher.publish(Message::new("hello, world").with_key("greeting")).await?;

    let mut consumer = broker.consumer(Subscription::new(topic, group)).await?;
    let delivery = consumer.next().await?;
    println!("{}", String::from_utf8_lossy(delivery.payload()));
    delivery.ack().await?;
    consumer.close().await
}
