//! The hot path of a worker, for counting its instructions: `worker_instructions WHAT MESSAGES` publishes so many messages of
//! 128 bytes in batches, and handles them. As `instructions` of the in-memory broker: `cargo xtask instructions` runs it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anybroker_core::{
    Broker, BrokerUrl, Delivery, Event, Group, Key, Message, PublisherExt, PublisherOptions, Subscription,
    Topic,
};
use anybroker_worker::{State, Worker};
use tokio::sync::Notify;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const BATCH: usize = 1_000;
const PAYLOAD: &[u8] = &[7; 128];
const KEYS: usize = 64;

/// Counts down what is to be handled.
#[derive(Clone)]
struct Left(Arc<(AtomicUsize, Notify)>);

impl Left {
    fn handled(&self) {
        if self.0.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.1.notify_one();
        }
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Measured(u64);

impl Event for Measured {
    const TYPE: &'static str = "measured";
}

// Paused, since handlers are taken for slow under valgrind.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (what, messages) = arguments.next().zip(arguments.next()).ok_or("say what, and how many messages")?;
    let messages = messages.parse()?;
    let left = Left(Arc::new((AtomicUsize::new(messages), Notify::new())));
    let broker = anybroker_memory::connect(&"memory://instructions".parse::<BrokerUrl>()?).await?;
    let worker = Worker::builder(broker.clone()).state(left.clone());
    let worker = match what.as_str() {
        "worker" => worker.subscribe(subscription()?, tower::service_fn(service(left.clone()))),
        "worker-typed" => worker.subscribe(subscription()?, typed),
        other => return Err(format!("`{other}` is none of the hot paths").into()),
    };
    publish(&broker, messages, what == "worker-typed").await?;
    Ok(worker.build()?.run_until(left.0.1.notified()).await?)
}

/// Nothing is decoded.
fn service(left: Left) -> impl Fn(Delivery) -> Ready<Result<(), Infallible>> + Clone {
    move |delivery| {
        std::hint::black_box(delivery.payload());
        left.handled();
        ready(Ok(()))
    }
}

/// What applications write.
async fn typed(measured: Measured, State(left): State<Left>) {
    std::hint::black_box(measured.0);
    left.handled();
}

fn subscription() -> Result<Subscription> {
    Ok(Subscription::new(Topic::new("orders")?, Group::new("billing")?))
}

async fn publish(broker: &Broker, messages: usize, typed: bool) -> Result<()> {
    let publisher = broker.publisher(PublisherOptions::new(Topic::new("orders")?)).await?;
    let keys: Vec<Key> = (0..KEYS).map(|number| format!("order-{number}").into()).collect();
    for batch in 0..messages / BATCH {
        let message = |number: usize| -> Result<Message> {
            let message =
                if typed { Message::event(&Measured(number as u64))? } else { Message::new(PAYLOAD) };
            Ok(message.with_key(keys[number % KEYS].clone()))
        };
        let batch = (batch * BATCH..(batch + 1) * BATCH).map(message).collect::<Result<_>>()?;
        for outcome in publisher.publish_batch(batch).await {
            outcome?;
        }
    }
    Ok(())
}
