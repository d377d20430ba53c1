//! Begins a run or continues one, puts services and shop together, and waits for the last order.

use std::collections::HashMap;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anybroker::worker::{Batches, Handling, Retry, Worker};
use anybroker::{
    Broker, BrokerUrl, DeliveryLevel, Error, Kept, Kind, Publisher, PublisherOptions, Requirements, Result,
    Scope, Subscription,
};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::report::{self, Report};
use crate::service::Service;
use crate::settings::Settings;
use crate::shop;
use crate::state::{Count, Phase, Run, State, count, counted};
use crate::topics::{Place, Topics};

/// The most messages handled in one transaction.
const BATCH: usize = 200;
/// How long nothing may happen before the run is given up.
const STALL: Duration = Duration::from_secs(60);
/// How often it is looked whether anything still happens.
const LOOK: Duration = Duration::from_secs(5);
/// The same when every order has ended, and only duplicates and acknowledgements are under way.
const LAST_LOOK: Duration = Duration::from_millis(50);

pub(crate) async fn run(settings: &Settings) -> Result<Report> {
    let began = Instant::now();
    let broker = anybroker::connect(&settings.url).await?;
    let state = State::open(&settings.state)?;
    let run = begin(&broker, &state, settings).await?;
    let delivered = state.transaction(|t| counted(t, Count::Delivered)).await?;
    let topics = Topics::of(&run.id);
    if run.phase == Phase::Declaring {
        in_time("declaring the topics", topics.declare(&broker)).await?;
        state.transaction(|t| Run::enter(t, Phase::Running)).await?;
    }
    if run.phase != Phase::Finished {
        serve(&broker, &state, &run, settings.members).await?;
        let dead_letters = in_time("counting dead letters", topics.count_dead_letters(&broker)).await? as u32;
        let finish = move |t: &rusqlite::Transaction<'_>| {
            count(t, Count::DeadLetters, dead_letters)?;
            Run::enter(t, Phase::Finished)
        };
        state.transaction(finish).await?;
    }
    in_time("deleting the topics", topics.delete(&broker)).await?;
    in_time("closing the broker", broker.close()).await?;
    let finish = move |t: &rusqlite::Transaction<'_>| {
        Run::enter(t, Phase::Done)?;
        Report::read(t, &run, counted(t, Count::Delivered)? - delivered, began.elapsed())
    };
    state.transaction(finish).await
}

/// The run that the state holds, if it was cut off and the broker still has its messages; otherwise a new one.
async fn begin(broker: &Broker, state: &State, settings: &Settings) -> Result<Run> {
    let (url, orders) = (settings.url.parse::<BrokerUrl>()?.to_string(), settings.orders);
    let found = state.transaction(Run::unfinished).await?;
    if let Some(run) = found {
        let at = settings.state.display();
        run.check_broker(&url).map_err(|error| error.on(at.to_string()))?;
        if run.phase != Phase::Running || Topics::of(&run.id).exist(broker).await? {
            let ended = state.transaction(report::count_ended).await?;
            let text = format!("run {} was cut off with {ended} of {} orders ended", run.id, run.orders);
            settings.say(&format!("{text}: going on with it ({at})"));
            return state.transaction(|transaction| run.resume(transaction)).await;
        }
        settings.say(&format!("run {} was cut off, and {url} has lost its messages: starting anew", run.id));
    }
    let run = state.transaction(move |transaction| Run::start(transaction, &url, orders)).await?;
    settings.say(&format!("run {} of {} orders on {}", run.id, run.orders, run.broker));
    Ok(run)
}

async fn serve(broker: &Broker, state: &State, run: &Run, members: u32) -> Result<()> {
    let topics = Topics::of(&run.id);
    let publishers = in_time("opening the publishers", publishers(broker, &topics)).await?;
    let ended = Arc::new(watch::Sender::new(state.transaction(report::count_ended).await?));
    let mut worker = Worker::builder(broker.clone()).handling(handling()).shutdown(STALL);
    for place in Place::ALL {
        let service =
            Service { place, publishers: publishers.clone(), state: state.clone(), ended: ended.clone() };
        let handler = tower::service_fn(move |batch| service.clone().handle(batch));
        // Members of one group share its partitions, in one process as in several.
        for _ in 0..members {
            worker =
                worker.subscribe_batch(subscription(&topics, place)?, Batches::of(BATCH), handler.clone());
        }
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let mut services = JoinSet::new();
    services.spawn(worker.build()?.run_until(async { _ = stopped.await }));
    services.spawn(shop::open(publishers[&Place::Payment].clone(), state.clone(), run.orders));
    watch_over(broker, &topics, run.orders, ended.subscribe(), &mut services).await?;
    let _ = stop.send(());
    let end = async {
        while let Some(ended) = services.join_next().await {
            joined(ended)?;
        }
        Ok(())
    };
    in_time("the end of the services", end).await
}

/// What takes longer will not end by itself: whoever waits is told for what.
async fn in_time<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = tokio::time::timeout(STALL, work).await;
    let late = || Error::new(Kind::TimedOut, "orders", format!("{what} took more than {STALL:?}"));
    ended.unwrap_or_else(|_| Err(late()))
}

/// A batch is one transaction, and the database takes one at a time. What fails waits with its key for as long as it takes.
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

async fn publishers(broker: &Broker, topics: &Topics) -> Result<HashMap<Place, Arc<dyn Publisher>>> {
    let mut publishers = HashMap::new();
    for place in Place::ALL {
        let options = PublisherOptions::new(topics.topic(place)?).require(requirements());
        publishers.insert(place, broker.publisher(options).await?);
    }
    Ok(publishers)
}

/// Waits until every order has ended and no message is left. If none is left before, something was lost, and the report
/// will say what.
async fn watch_over(
    broker: &Broker,
    topics: &Topics,
    orders: u32,
    mut ended: watch::Receiver<u32>,
    services: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let (mut shop_open, mut moved) = (true, Instant::now());
    loop {
        let all_ended = *ended.borrow_and_update() >= orders;
        let look = if all_ended { LAST_LOOK } else { LOOK };
        tokio::select! {
            // The only one that ends by itself, and without an error, is the shop.
            Some(ended) = services.join_next() => { joined(ended)?; shop_open = false; }
            Ok(()) = ended.changed() => { moved = Instant::now(); show(*ended.borrow(), orders); }
            () = tokio::time::sleep(look) => {}
        }
        let quiet = moved.elapsed() >= LOOK;
        let may_end = !shop_open && (all_ended || quiet);
        if may_end && in_time("asking what is left", topics.backlog(broker)).await? == 0 {
            return Ok(());
        }
        if moved.elapsed() >= STALL {
            let ended = format!("{} of {orders} orders ended", *ended.borrow());
            return Err(stalled(broker, topics, ended, shop_open).await);
        }
    }
}

/// Says what waits for whom.
async fn stalled(broker: &Broker, topics: &Topics, ended: String, shop_open: bool) -> Error {
    let standing = in_time("asking who waits", topics.standing(broker)).await;
    let standing = standing.unwrap_or_else(|error| error.to_string());
    let shop = if shop_open { "open" } else { "closed" };
    let text = format!("{ended}, the shop is {shop}, and nothing happened for {STALL:?} ({standing})");
    Error::new(Kind::TimedOut, "orders", text)
}

fn show(ended: u32, orders: u32) {
    if std::io::stderr().is_terminal() {
        let text =
            if ended < orders { format!("{ended} of {orders} orders ended") } else { "\x1b[K".to_owned() };
        eprint!("\r{text}");
        let _ = std::io::stderr().flush();
    }
}

fn joined(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|e| Err(Error::new(Kind::Unexpected, "orders", "a service panicked").with_source(e)))
}
