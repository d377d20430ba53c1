//! An order pipeline: orders → payment → inventory → shipping, over topics keyed by order id.
//!
//! `cargo run -p orders` runs it in memory. The same program runs on every broker:
//! `ANYBROKER_URL=kafka://127.0.0.1:9092 cargo run -p orders --features kafka`.
//!
//! On purpose, things go wrong on the way: payments are declined, handlers fail and are retried, messages are published
//! twice. At the end every order must be in one final state, and no handler may have seen the events of an order out
//! of order.

mod events;
mod pipeline;
mod service;
mod shop;
mod stages;
mod tally;

use std::process::ExitCode;

use anybroker::Result;

/// How many orders, and how many members serve each stage.
#[derive(Clone, Copy)]
struct Settings {
    orders: u32,
    members: u32,
}

impl Settings {
    /// `cargo run -p orders -- 5000 3`: orders, members a stage.
    fn from_arguments() -> std::result::Result<Self, String> {
        let mut arguments = std::env::args().skip(1);
        let mut number = |name: &str, default: u32| match arguments.next() {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("{name} must be a number, and `{text}` is none")),
        };
        Ok(Settings { orders: number("orders", 3_000)?, members: number("members", 2)?.max(1) })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = match Settings::from_arguments() {
        Ok(settings) => settings,
        Err(text) => {
            eprintln!("orders: {text}\nusage: orders [ORDERS [MEMBERS]]; ANYBROKER_URL chooses the broker");
            return ExitCode::from(2);
        }
    };
    match run(settings).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("orders: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(settings: Settings) -> Result<bool> {
    let broker = anybroker::connect_from_env("memory://orders").await?;
    let tally = pipeline::run(&broker, settings).await?;
    println!("{tally}");
    broker.close().await?;
    Ok(tally.is_right())
}
