//! The hot paths, for counting their instructions: `instructions WHAT MESSAGES` does it to so many messages of 128 bytes.
//! `cargo xtask instructions` runs it twice under valgrind, with other numbers; the difference is what a message costs.

use anybroker_core::{
    Broker, BrokerUrl, Consumer, ConsumerExt, Group, Message, PublisherExt, PublisherOptions, RecordBuffer,
    Settlement, SharedPublisher, Subscription, Topic,
};
use bytes::Bytes;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const BATCH: usize = 1_000;
const PAYLOAD: Bytes = Bytes::from_static(&[7; 128]);
const KEYS: [&str; 4] = ["order-1", "order-2", "order-3", "order-4"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (what, messages) = arguments.next().zip(arguments.next()).ok_or("say what, and how many messages")?;
    let messages = messages.parse()?;
    match what.as_str() {
        "encode" => encode(messages),
        "publish" => publish(messages).await?,
        "through" => through(messages).await?,
        "one-by-one" => one_by_one(messages).await?,
        other => return Err(format!("`{other}` is none of the hot paths").into()),
    }
    Ok(())
}

fn message(number: usize) -> Message {
    Message::new(PAYLOAD).with_key(Bytes::from_static(KEYS[number % KEYS.len()].as_bytes()))
}

/// A message becomes a record.
fn encode(messages: usize) {
    let (mut buffer, message) = (RecordBuffer::new(), message(0));
    for _ in 0..messages {
        std::hint::black_box(buffer.encode(&message));
    }
}

/// In batches, and nobody consumes.
async fn publish(messages: usize) -> Result<()> {
    let publisher = publisher(&broker().await?).await?;
    for _ in 0..messages / BATCH {
        batch(&publisher).await?;
    }
    Ok(())
}

/// In batches: published, received and settled.
async fn through(messages: usize) -> Result<()> {
    let broker = broker().await?;
    let (publisher, mut consumer) = (publisher(&broker).await?, consumer(&broker).await?);
    let settler = consumer.settler();
    for _ in 0..messages / BATCH {
        batch(&publisher).await?;
        let mut left = BATCH;
        while left > 0 {
            let batch = consumer.receive(left).await?;
            left -= batch.len();
            for settled in settler.settle(batch.into_iter().map(Settlement::ack).collect()).await {
                settled?;
            }
        }
    }
    Ok(())
}

/// Each published, received and settled before the next.
async fn one_by_one(messages: usize) -> Result<()> {
    let broker = broker().await?;
    let (publisher, mut consumer) = (publisher(&broker).await?, consumer(&broker).await?);
    for number in 0..messages {
        publisher.publish(message(number)).await?;
        consumer.next().await?.ack().await?;
    }
    Ok(())
}

async fn batch(publisher: &SharedPublisher) -> Result<()> {
    let batch: Vec<_> = (0..BATCH).map(message).collect();
    let permit = publisher.ready(BATCH, batch.iter().map(Message::size).sum()).await?;
    for outcome in publisher.enqueue(permit, batch).await {
        outcome?;
    }
    Ok(())
}

async fn broker() -> Result<Broker> {
    Ok(anybroker_memory::connect(&"memory://instructions".parse::<BrokerUrl>()?).await?)
}

async fn publisher(broker: &Broker) -> Result<SharedPublisher> {
    Ok(broker.publisher(PublisherOptions::new(Topic::new("orders")?)).await?)
}

async fn consumer(broker: &Broker) -> Result<Box<dyn Consumer>> {
    Ok(broker.consumer(Subscription::new(Topic::new("orders")?, Group::new("billing")?)).await?)
}
