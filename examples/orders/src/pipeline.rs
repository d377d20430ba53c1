//! Begins a run or continues one, puts the parts together, and waits for the last order.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anybroker::patterns::event_store::EventStore;
use anybroker::patterns::outbox::{self, Relay, RelayOptions};
use anybroker::patterns::projection::{Projections, Projector, ProjectorOptions};
use anybroker::patterns::saga::{RunnerOptions, SagaRunner};
use anybroker::worker::{Batches, Builder, Handling, Retry, Worker};
use anybroker::{
    Broker, BrokerUrl, DeliveryLevel, Error, Kept, Kind, Requirements, Result, Scope, Subscription,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::database::Database;
use crate::fulfilment::{Fulfilment, Replies};
use crate::inventory::InventoryService;
use crate::office::Office;
use crate::order::Orders;
use crate::outboxes::Outboxes;
use crate::page::Page;
use crate::patience::{STALL, in_time, patiently};
use crate::payment::PaymentService;
use crate::projection::{self, OrdersByState};
use crate::report::Report;
use crate::run::{Phase, Run};
use crate::service::{Desk, Service};
use crate::settings::Settings;
use crate::shop;
use crate::topics::{Place, Topics};

/// The most messages handled in one transaction.
const BATCH: usize = 200;
/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) async fn run<D: Database>(settings: &Settings, database: D) -> Result<Report> {
    let began = Instant::now();
    let broker = anybroker::connect(&settings.broker).await?;
    database.prepare().await?;
    let mut run = begin(&broker, &database, settings).await?;
    let before = ended(&database).await?;
    let topics = Topics::of(&run.id);
    if run.phase == Phase::Declaring {
        in_time("declaring the topics", topics.declare(&broker)).await?;
        run.enter(&database, Phase::Running).await?;
    }
    if run.phase == Phase::Running {
        let page = Page::open(&broker, &database, &run, settings).await?;
        tokio::select! {
            served = serve(&broker, &database, &run, settings.members) => served?,
            () = page.serve() => {}
        }
        // The shop has noted how many orders it placed.
        run.placed = run.orders;
        run.dead_letters = in_time("counting dead letters", topics.count_dead_letters(&broker)).await?;
        run.enter(&database, Phase::Finished).await?;
    }
    let time = began.elapsed();
    let report = Report::read(&database, &run, run.orders - before, time).await?;
    in_time("deleting the topics", topics.delete(&broker)).await?;
    in_time("closing the broker", broker.close()).await?;
    run.enter(&database, Phase::Done).await?;
    Ok(report)
}

/// The run that the database holds, if it was cut off and the broker still has its messages; otherwise a new one.
async fn begin<D: Database>(broker: &Broker, database: &D, settings: &Settings) -> Result<Run> {
    let (url, orders) = (settings.broker.parse::<BrokerUrl>()?.to_string(), settings.orders);
    let found = Run::found(database).await?.filter(|run| run.phase != Phase::Done);
    if let Some(mut run) = found {
        let at = settings.database_name();
        run.check_broker(&url).map_err(|error| error.on(at.clone()))?;
        if run.phase != Phase::Running || Topics::of(&run.id).exist(broker).await? {
            let ended = ended(database).await?;
            let text = format!("run {} was cut off with {ended} of {} orders ended", run.id, run.orders);
            settings.say(&format!("{text}: going on with it ({at})"));
            run.resume(database).await?;
            return Ok(run);
        }
        settings.say(&format!("run {} was cut off, and {url} has lost its messages: starting anew", run.id));
    }
    let run = Run::start(database, &url, orders).await?;
    settings.say(&format!("run {} of {orders} orders on {url}, {}", run.id, settings.database_name()));
    Ok(run)
}

/// Of how many orders the customers were told the end.
async fn ended<D: Database>(database: &D) -> Result<u32> {
    let ended = database.numbers("select count(*) from {told} where state <> ''").await?;
    Ok(ended.first().map_or(0, |ended| *ended as u32))
}

/// Runs everything until the last order has ended.
pub(crate) async fn serve<D: Database>(broker: &Broker, database: &D, run: &Run, members: u32) -> Result<()> {
    let topics = Topics::of(&run.id);
    let store = EventStore::open(database.clone()).await?;
    let outboxes = Outboxes::new(database.clone(), topics.clone());
    let orders = Orders::new(store.clone(), outboxes.clone());
    let saga = Fulfilment::saga(database.clone(), orders, outboxes.clone());

    let mut worker = Worker::builder(broker.clone()).handling(handling()).shutdown(STALL);
    let desks = Desks { database, topics: &topics, outboxes: &outboxes, members };
    worker = desks.add(worker, PaymentService(store.clone()))?;
    worker = desks.add(worker, InventoryService(store.clone()))?;
    worker = desks.add(worker, Replies(saga.clone()))?;
    worker = desks.add(worker, Office(database.clone()))?;
    let worker = worker.build()?;
    let options = RelayOptions { requirements: requirements(), ..RelayOptions::default() };
    let relay = Relay::open(database.clone(), broker.clone(), options).await?;
    let options = RunnerOptions { instances: 8, lease: Duration::from_secs(3) };
    let runner = SagaRunner::open(database.clone(), options).await?.with(&saga)?;

    let read_model = OrdersByState(database.clone());
    let projector = Projector::open(store, read_model, ProjectorOptions::default()).await?;

    let (stop, stopped) = watch::channel(false);
    let stopped = || {
        let mut stopped = stopped.clone();
        async move { _ = stopped.wait_for(|stop| *stop).await }
    };
    let mut parts = JoinSet::new();
    parts.spawn(worker.run_until(stopped()));
    parts.spawn(relay.run(stopped()));
    let until = stopped();
    parts.spawn(async move {
        runner.run(until).await;
        Ok(())
    });
    let until = stopped();
    parts.spawn(async move { projector.run(until).await });
    parts.spawn(shop::open(database.clone(), saga, run.clone()));
    watch_over(broker, database, &topics, run.orders, &mut parts).await?;
    let newest =
        patiently(async || database.numbers("select coalesce(max(position), 0) from {events}").await).await?;
    let projections = Projections::open(database.clone()).await?;
    for newest in newest {
        let caught_up = projections.wait_for(projection::NAME, newest as u64, STALL).await;
        caught_up.map_err(|error| Error::new(Kind::TimedOut, "orders", error.to_string()))?;
    }
    let _ = stop.send(true);
    let end = async {
        while let Some(ended) = parts.join_next().await {
            joined(ended)?;
        }
        Ok(())
    };
    in_time("the end of the services", end).await
}

/// Where services are set up.
struct Desks<'a, D: Database> {
    database: &'a D,
    topics: &'a Topics,
    outboxes: &'a Outboxes<D>,
    members: u32,
}

impl<D: Database> Desks<'_, D> {
    /// Lets a worker run a service. Members of one group share its partitions, in one process as in several.
    fn add<S: Service<D>>(&self, mut worker: Builder, service: S) -> Result<Builder> {
        let desk = Desk::new(service, self.database.clone(), self.outboxes.clone(), self.topics)?;
        worker = worker.state(desk);
        for _ in 0..self.members {
            let subscription = subscription(self.topics, S::PLACE)?;
            worker = worker.subscribe_batch(subscription, Batches::of(BATCH), Desk::<D, S>::serve);
        }
        Ok(worker)
    }
}

/// A batch is one transaction. What fails waits with its key for as long as it takes.
fn handling() -> Handling {
    let retry =
        Retry::default().for_ever().immediate(0).backoff(Duration::from_millis(20), Duration::from_secs(5));
    Handling::default().concurrency(1).retry(retry)
}

/// What this application cannot do without. A broker that does not give it is refused at start-up.
fn requirements() -> Requirements {
    Requirements::new()
        .delivery(DeliveryLevel::AtLeastOnce)
        .ordering(Scope::Key)
        .order_after_redelivery(Kept::Yes)
        .order_across_consumers(Kept::Yes)
        .order_after_member_death(Kept::Yes)
}

fn subscription(topics: &Topics, place: Place) -> Result<Subscription> {
    let subscription = Subscription::new(topics.topic(place)?, topics.group(place)?);
    Ok(subscription.require(requirements()).dead_letter(topics.dead_letter_policy()?))
}

/// Waits until every order has ended and nothing is left to be said.
async fn watch_over<D: Database>(
    broker: &Broker,
    database: &D,
    topics: &Topics,
    orders: u32,
    parts: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let (mut last, mut moved) = (Vec::new(), Instant::now());
    loop {
        tokio::select! {
            // The only one that ends by itself, and without an error, is the shop.
            Some(ended) = parts.join_next() => joined(ended)?,
            () = tokio::time::sleep(LOOK) => {}
        }
        let now = patiently(async || progress(database).await).await?;
        show(now[0], orders);
        if now[..2] == [i64::from(orders), i64::from(orders)] {
            // Nobody adds to the outbox now.
            let left = patiently(async || Ok(outbox::Store::status(database).await?.backlog)).await?;
            let backlog = async || topics.backlog(broker).await;
            if left == 0 && in_time("asking what is left", patiently(backlog)).await? == 0 {
                return Ok(());
            }
        }
        if now != last {
            (last, moved) = (now, Instant::now());
        } else if moved.elapsed() >= STALL {
            return Err(stalled(broker, topics, &last, orders).await);
        }
    }
}

/// Orders whose end is known, sagas that ended, and how many events and batches there were.
async fn progress<D: Database>(database: &D) -> Result<Vec<i64>> {
    let sql = "select (select count(*) from {told} where state <> ''),
        (select count(*) from {sagas} where state in ('completed', 'compensated')),
        (select coalesce(max(position), 0) from {events}), (select count(*) from {batches})";
    database.numbers(sql).await
}

/// Says what waits for whom.
async fn stalled(broker: &Broker, topics: &Topics, progress: &[i64], orders: u32) -> Error {
    let standing = in_time("asking who waits", topics.standing(broker)).await;
    let standing = standing.unwrap_or_else(|error| error.to_string());
    let text = format!(
        "of {orders} orders {} ended, {} sagas ended, and nothing happened for {STALL:?} ({standing})",
        progress[0], progress[1]
    );
    Error::new(Kind::TimedOut, "orders", text)
}

fn show(ended: i64, orders: u32) {
    if std::io::stderr().is_terminal() {
        let text = match ended < i64::from(orders) {
            true => format!("{ended} of {orders} orders ended"),
            false => "\x1b[K".to_owned(),
        };
        eprint!("\r{text}");
        let _ = std::io::stderr().flush();
    }
}

fn joined(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|e| Err(Error::new(Kind::Unexpected, "orders", "a part panicked").with_source(e)))
}
