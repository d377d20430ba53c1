//! How many seeds a second one core runs, for a service of 100 messages:
//! `time cargo run --release -p anybroker-explore --example speed [SEEDS]`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anybroker_core::{
    Broker, ConsumerExt, Group, Message, PublisherExt, PublisherOptions, Result, Subscription, Topic,
    Topology,
};
use anybroker_explore::{Like, Run, explore};

const MESSAGES: usize = 100;

type Done = Arc<Mutex<BTreeSet<Vec<u8>>>>;

async fn service(broker: Broker, done: Done) -> Result<()> {
    let mut consumer = broker.consumer(Subscription::new(Topic::new("orders")?, Group::new("it")?)).await?;
    loop {
        let delivery = consumer.next().await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        done.lock().unwrap_or_else(PoisonError::into_inner).insert(delivery.payload().to_vec());
        let _ = delivery.ack().await;
    }
}

async fn run(run: Run) -> Result<()> {
    let topic = Topic::new("orders")?;
    run.outside().admin().declare(&Topology::new(topic.clone()).group(Group::new("it")?)).await?;
    let done = Done::default();
    let table = done.clone();
    run.process("it", move |broker| service(broker, table.clone()));
    let publisher = run.outside().publisher(PublisherOptions::new(topic)).await?;
    for number in 0..MESSAGES {
        publisher.publish(Message::new(number.to_string()).with_key(format!("k{}", number % 10))).await?;
    }
    run.drained().await;
    assert_eq!(done.lock().unwrap_or_else(PoisonError::into_inner).len(), MESSAGES);
    Ok(())
}

fn main() {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(5_000);
    for like in [Like::Kafka, Like::RabbitMq, Like::JetStream, Like::SqsFifo, Like::Pulsar] {
        let began = Instant::now();
        explore(like, run).threads(1).seeds(seeds).run();
        let rate = seeds as f64 / began.elapsed().as_secs_f64();
        println!("{like:<10} {seeds} seeds, {rate:.0} a second");
    }
}
