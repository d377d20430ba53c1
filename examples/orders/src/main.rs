//! An order pipeline that survives being killed at any moment: orders → payment → inventory → shipping → office, over
//! topics keyed by order id.
//!
//! `cargo run -p orders` runs it on the embedded broker, one file. The same program runs on every broker:
//! `ANYBROKER_URL=kafka://127.0.0.1:9092 cargo run -p orders --features kafka`.
//!
//! On purpose, things go wrong on the way: payments are declined, handlers fail and are retried, messages are published
//! twice. Kill it (`kill -9`) and start it again: it goes on where it was. What makes that work is in three places:
//! - `inbox.rs`: a message's effect and the note that it was handled are one transaction, so it takes effect once;
//! - `service.rs`, which the worker runs: what follows from it is stored in that transaction too, published and confirmed before the message is
//!   acknowledged, and published again when the message comes again, so nothing is lost on the way;
//! - `shop.rs`: every message has an id that follows from what it says, so the last batch can be sent again.
//!
//! At the end `report.rs` works out from the order numbers alone how each must have ended, and compares: every order in
//! one final state, every cent and item accounted for, no step out of order, no dead letter. It exits with 0 only then.

mod events;
mod inbox;
mod pipeline;
mod report;
mod service;
mod settings;
mod shop;
mod stages;
mod state;
mod topics;

use std::process::ExitCode;

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
    match pipeline::run(&settings).await {
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
