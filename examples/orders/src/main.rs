//! An order system that survives being killed at any moment, and ends right.
//!
//! `cargo run -p orders` runs it on the embedded broker and SQLite, two files. The same program runs on every broker and on
//! PostgreSQL: `ANYBROKER_URL=kafka://127.0.0.1:9092 DATABASE_URL=postgres://… cargo run -p orders --features kafka,postgres`.
//!
//! On purpose, things go wrong on the way: payments are declined, items are out of stock, handlers fail and are retried,
//! messages are published twice. Kill it (`kill -9`) and start it again: it goes on where it was. What makes that work:
//! - `order.rs`, `payment.rs`, `inventory.rs`: what happened is kept as events, in a stream of each order;
//! - `outboxes.rs`: what is to be published is staged in the transaction of its cause, and published if that commits;
//! - `service.rs`: a message's effect and the note in the inbox are one transaction, so it takes effect once;
//! - `fulfilment.rs`: a saga takes an order from one service to the next, and undoes what was done if one refuses.
//!
//! At the end `report.rs` works out from the order numbers alone what must have happened to each, and compares: every event
//! of every order, every cent and item, no news out of order, no dead letter. It exits with 0 only then.

mod database;
mod due;
#[cfg(test)]
mod explored;
mod fulfilment;
mod inventory;
mod lock;
mod messages;
mod office;
mod order;
mod outboxes;
mod page;
mod patience;
mod payment;
mod pipeline;
mod projection;
mod report;
mod run;
mod service;
mod settings;
mod shop;
mod topics;

use std::process::ExitCode;

use anybroker::Result;
use anybroker::patterns::database::Sqlite;
use report::Report;
use settings::{Settings, USAGE};

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().any(|argument| matches!(argument.as_str(), "--help" | "-h")) {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let settings = match Settings::read() {
        Ok(settings) => settings,
        Err(text) => {
            eprintln!("orders: {text}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&settings).await {
        Ok(report) => {
            println!("{}", if settings.json { report.json() } else { report.to_string() });
            ExitCode::from(u8::from(!report.is_right()))
        }
        Err(error) => {
            eprintln!("orders: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(settings: &Settings) -> Result<Report> {
    let _lock = lock::take(&settings.state)?;
    match &settings.postgres {
        None => pipeline::run(settings, Sqlite::open(&settings.state).await?).await,
        Some(url) => on_postgres(settings, url).await,
    }
}

#[cfg(feature = "postgres")]
async fn on_postgres(settings: &Settings, url: &str) -> Result<Report> {
    use anybroker::patterns::database::{Names, Postgres};
    let names = Names::default().in_schema(database::SCHEMA)?;
    pipeline::run(settings, Postgres::connect(url).await?.with_names(names)).await
}

#[cfg(not(feature = "postgres"))]
async fn on_postgres(_: &Settings, _: &str) -> Result<Report> {
    use anybroker::{Error, Kind};
    let text = "this program was built without PostgreSQL";
    Err(Error::new(Kind::Unsupported, "orders", text).advice("build it with --features postgres"))
}
