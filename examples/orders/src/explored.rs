//! The whole system on the worst legal brokers, killed at its awaits: every order comes out right.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anybroker::patterns::database::Sqlite;
use anybroker::{Broker, Error, Kind, Result};
use anybroker_explore::{Like, Run as Exploration, explore};
use tokio::time::{interval, sleep, timeout};

use crate::pipeline::serve;
use crate::report::Report;
use crate::run::Run;
use crate::topics::Topics;

/// Of which one is declined, one out of stock, and two have everything published twice.
const ORDERS: u32 = 16;
/// A seed takes some seconds, as leases in the database do.
const SEEDS: u64 = 4;
/// So often the process may be killed.
const CHANCE: Duration = Duration::from_millis(50);
/// For so long everything goes wrong.
const MISERY: Duration = Duration::from_secs(30);

/// Serves until the last order has ended.
async fn shop(broker: Broker, database: Sqlite) -> Result<()> {
    let run = Run::found(&database).await?;
    let run = run.ok_or_else(|| Error::new(Kind::Unexpected, "orders", "there is no run"))?;
    let chances = async {
        let mut chances = interval(CHANCE);
        loop {
            chances.tick().await;
        }
    };
    tokio::select! {
        biased;
        served = serve(&broker, &database, &run, 1) => served,
        () = chances => Ok(()),
    }
}

async fn every_order_comes_out_right(exploration: Exploration, starts: &AtomicUsize) -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let database = Sqlite::open(folder.path().join("orders.db")).await?;
    let outside = exploration.outside();
    let mut run = Run::start(&database, "memory://", ORDERS).await?;
    let topics = Topics::of(&run.id);
    topics.declare(&outside).await?;

    let ended = Rc::new(Cell::new(false));
    let (served, told, begun) = (database.clone(), ended.clone(), Rc::new(Cell::new(0)));
    let begins = begun.clone();
    exploration.process("orders", move |broker| {
        begins.set(begins.get() + 1);
        let (database, ended) = (served.clone(), told.clone());
        async move {
            shop(broker, database).await?;
            ended.set(true);
            Ok(())
        }
    });
    let end = async {
        while !ended.get() {
            sleep(CHANCE).await;
        }
    };
    let mut end = std::pin::pin!(end);
    if timeout(MISERY, &mut end).await.is_err() {
        exploration.rest();
        end.await;
    }
    starts.fetch_add(begun.get(), Ordering::Relaxed);
    run.dead_letters = topics.count_dead_letters(&outside).await?;
    let report = Report::read(&database, &run, ORDERS, Duration::from_secs(1)).await?;
    assert!(report.is_right(), "{report}");
    Ok(())
}

fn explored(like: Like) {
    let starts = AtomicUsize::new(0);
    explore(like, |exploration| every_order_comes_out_right(exploration, &starts))
        .with_io()
        .seeds(SEEDS)
        .run();
    let restarts = starts.into_inner() as u64 - SEEDS;
    println!("{like}: started again {restarts} times in {SEEDS} seeds");
    assert!(restarts > 0, "nobody was killed: nothing is shown");
}

#[test]
fn kafka() {
    explored(Like::Kafka);
}

#[test]
fn rabbitmq() {
    explored(Like::RabbitMq);
}
