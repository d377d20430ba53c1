//! What the worker adds to each message: `cargo bench -p anybroker-worker`.
//!
//! Everything runs on one thread, and what is measured is that thread's CPU time. `raw` receives and acknowledges in batches without a worker; the
//! others add one thing after the other. The handlers do nothing; nothing is decoded.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anybroker_core::{
    Broker, Delivery, Group, Message, PublisherExt, PublisherOptions, Result, Settlement, Subscription,
    Topic, Topology,
};
use anybroker_worker::{Batches, Handling, Metrics, Outcomes, Worker};
use criterion::{Criterion, Throughput};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// Messages in a run.
const MESSAGES: u64 = 20_000;
/// Keys that they have.
const KEYS: u64 = 64;

static HANDLED: AtomicU64 = AtomicU64::new(0);
static ALL: Notify = Notify::const_new();

fn handled(messages: u64) {
    if HANDLED.fetch_add(messages, Ordering::Relaxed) + messages == MESSAGES {
        ALL.notify_one();
    }
}

/// What this thread has used.
fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), spent.tv_nsec.unsigned_abs() as u32)
}

/// A broker with everything published.
async fn filled() -> Result<(Broker, Subscription)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let url = format!("memory://bench-{}?partitions=1", NEXT.fetch_add(1, Ordering::Relaxed));
    let broker = anybroker_memory::connect(&url.parse()?).await?;
    let (topic, group) = (Topic::new("t")?, Group::new("g")?);
    broker.admin().declare(&Topology::new(topic.clone()).group(group.clone())).await?;
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
    let message = |number: u64| Message::new("128 bytes").with_key(format!("k{}", number % KEYS));
    for outcome in publisher.publish_batch((0..MESSAGES).map(message).collect()).await {
        outcome?;
    }
    HANDLED.store(0, Ordering::Relaxed);
    Ok((broker, Subscription::new(topic, group)))
}

async fn raw(broker: Broker, subscription: Subscription) -> Result<Duration> {
    let mut consumer = broker.consumer(subscription).await?;
    let (settler, began, mut left) = (consumer.settler(), cpu_time(), MESSAGES);
    while left > 0 {
        let batch = consumer.receive(256).await?;
        left -= batch.len() as u64;
        for settled in settler.settle(batch.into_iter().map(Settlement::ack).collect()).await {
            settled?;
        }
    }
    let took = cpu_time() - began;
    consumer.close().await?;
    Ok(took)
}

async fn run(worker: Worker) -> Result<Duration> {
    let began = cpu_time();
    worker.run_until(ALL.notified()).await?;
    Ok(cpu_time() - began)
}

async fn at_once(_: Delivery) -> std::result::Result<(), Infallible> {
    handled(1);
    Ok(())
}

async fn later(_: Delivery) -> std::result::Result<(), Infallible> {
    tokio::task::yield_now().await;
    handled(1);
    Ok(())
}

async fn batch(batch: Vec<Delivery>) -> std::result::Result<Outcomes, Infallible> {
    handled(batch.len() as u64);
    Ok(().into())
}

fn handling() -> Handling {
    Handling::default().without_timeout()
}

async fn one(broker: Broker, subscription: Subscription) -> Result<Duration> {
    let worker = Worker::builder(broker).handling(handling().concurrency(1));
    run(worker.subscribe(subscription, tower::service_fn(at_once)).build()?).await
}

async fn sixteen(broker: Broker, subscription: Subscription) -> Result<Duration> {
    let worker = Worker::builder(broker).handling(handling());
    run(worker.subscribe(subscription, tower::service_fn(at_once)).build()?).await
}

async fn limited(broker: Broker, subscription: Subscription) -> Result<Duration> {
    let worker = Worker::builder(broker);
    run(worker.subscribe(subscription, tower::service_fn(at_once)).build()?).await
}

async fn counted(broker: Broker, subscription: Subscription) -> Result<Duration> {
    let worker = Worker::builder(broker).observe(Metrics::new());
    run(worker.subscribe(subscription, tower::service_fn(at_once)).build()?).await
}

async fn yielding(broker: Broker, subscription: Subscription) -> Result<Duration> {
    let worker = Worker::builder(broker);
    run(worker.subscribe(subscription, tower::service_fn(later)).build()?).await
}

async fn batches(broker: Broker, subscription: Subscription) -> Result<Duration> {
    let worker = Worker::builder(broker);
    run(worker.subscribe_batch(subscription, Batches::of(100), tower::service_fn(batch)).build()?).await
}

fn overhead(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return eprintln!("there is no runtime") };
    let mut group = criterion.benchmark_group("overhead");
    group.throughput(Throughput::Elements(MESSAGES)).sample_size(20);
    macro_rules! measure {
        ($($name:literal: $run:path),+ $(,)?) => {
            $(group.bench_function($name, |bencher| {
                bencher.iter_custom(|rounds| (0..rounds).map(|_| round(&runtime, $run)).sum());
            });)+
        };
    }
    measure!(
        "raw": raw,
        "worker, 1 handler": one,
        "worker, 16 handlers": sixteen,
        "worker, 16 handlers, with a time-out": limited,
        "worker, 16 handlers, with a time-out and metrics": counted,
        "worker, 16 handlers that yield, with a time-out": yielding,
        "worker, batches of 100": batches,
    );
    group.finish();
}

fn round<F>(runtime: &Runtime, run: impl FnOnce(Broker, Subscription) -> F) -> Duration
where
    F: Future<Output = Result<Duration>>,
{
    let measured = runtime.block_on(async {
        let (broker, subscription) = filled().await?;
        let took = run(broker.clone(), subscription).await?;
        broker.close().await?;
        Ok::<_, anybroker_core::Error>(took)
    });
    measured.unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1)
    })
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    overhead(&mut criterion);
    criterion.final_summary();
}
