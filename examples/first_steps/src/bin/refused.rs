//! A requirement refused: `cargo run -p first-steps --bin refused`.
//!
//! The application says that confirmed messages must survive a power cut. The in-memory broker cannot promise that,
//! so the program does not start, and the error says which row is missing and what would satisfy it.

use anybroker::{Durability, PublisherOptions, Requirements, Result, Scope, Topic};

#[tokio::main]
async fn main() -> Result<()> {
    let broker = anybroker::connect_from_env("memory://refused").await?;
    let needs = Requirements::new().ordering(Scope::Key).durability_on_confirm(Durability::Fsync);
    match broker.publisher(PublisherOptions::new(Topic::new("payments")?).require(needs)).await {
        Ok(_) => println!("this broker gives everything that was required"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
