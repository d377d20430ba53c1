//! Not only the program is killed, and its relay with it: so are the database and the broker, PostgreSQL and NATS.

use std::time::{Duration, Instant};

use anybroker_conformance::brokers::{Brokers, Options, PortChoice};
use sqlx::Connection as _;

use super::process::{PATIENCE, Process, Workplace};
use super::random::Random;
use super::{is_right, number, seed};

/// Says whether a server is left out by name.
fn excluded(name: &str) -> bool {
    let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    let excluded = names.split(',').any(|excluded| excluded == name);
    if excluded {
        eprintln!("not run: {name} is excluded by ANYBROKER_TEST_EXCLUDE");
    }
    excluded
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_with_database_and_broker_it_ends_right() {
    if excluded("postgres") || excluded("nats") {
        return;
    }
    let (kills, orders) = (number("ORDERS_KILLS", 8), number("ORDERS_COUNT", 300));
    let seed = seed();
    // Servers of its own: nobody else's are to be killed.
    let folder = tempfile::tempdir().unwrap();
    let options = Options { ports: PortChoice::Free, ..Options::default() };
    let servers = Brokers::open(folder.path(), options).unwrap();
    let up = servers.up(&["postgres", "nats"]).await.unwrap();
    let url = |name: &str| up.iter().find(|status| status.name == name).unwrap().url.clone().unwrap();
    let database = url("postgres");
    let workplace =
        Workplace::new(vec![("DATABASE_URL", database.clone()), ("ANYBROKER_URL", url("nats"))], orders);
    workplace.note(&format!("seed {seed}: ORDERS_SEED={seed} repeats these moments"));
    let mut random = Random(seed);
    let mut process = workplace.start();
    let mut ended = 0;
    for kill in 1..=kills {
        // All over the run; an order has more than four events, so that the last kill comes before the end.
        let share = (orders * 4 / kills).max(1);
        let moment = (kill - 1) * share + random.below(share);
        ended += wait_for_events(&database, moment, &workplace, &mut process).await;
        tokio::time::sleep(Duration::from_micros(random.below(50_000))).await;
        // The program is killed as often as both others.
        let victim = ["program", "postgres", "nats", "program"][random.below(4) as usize];
        workplace.note(&format!("kill {kill}, after {moment} events: {victim}"));
        if victim == "program" {
            ended += u64::from(!process.kill());
            process = workplace.start();
        } else {
            servers.kill(victim).await.unwrap();
            servers.up(&[victim]).await.unwrap();
        }
    }
    let report = loop {
        if process.end().success() {
            break process.report();
        }
        // What it cannot bear ends it, and the next one goes on.
        ended += 1;
        assert!(ended <= kills, "it does not come to its end: {}", workplace.said());
        process = workplace.start();
    };
    servers.down(&["postgres", "nats"]).await.unwrap();
    workplace.note(&format!("it ended {ended} times by itself; run to its end: {report:#}"));
    is_right(&report, orders);
}

/// Waits until more than so many events were stored; gives how often the program ended by itself, and was started again.
async fn wait_for_events(database: &str, moment: u64, workplace: &Workplace, process: &mut Process) -> u64 {
    let (deadline, mut ended) = (Instant::now() + PATIENCE, 0);
    while events(database).await.unwrap_or(0) <= moment as i64 {
        if !process.lives() {
            workplace.note("it ended by itself, and is started again");
            (*process, ended) = (workplace.start(), ended + 1);
        }
        assert!(Instant::now() < deadline, "{moment} events were not stored: {}", workplace.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ended
}

async fn events(database: &str) -> sqlx::Result<i64> {
    let mut connection = sqlx::PgConnection::connect(database).await?;
    let sql = "select count(*) from orders_example.anybroker_events";
    let events = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(events)
}
