//! Schemas that change: what is noticed, what is read, and by which way it comes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod compatibility;
mod derived;
mod directory;
mod golden;
mod upcasting;

use anybroker_core::{Event, Key};
use anybroker_patterns::schema::Upcasters;
use serde_json::json;

/// Version 1 had `euros`; version 2 has `cents`; version 3 has the currency too.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct OrderPlaced {
    cents: u64,
    currency: String,
}

impl Event for OrderPlaced {
    const TYPE: &'static str = "order.placed";
    const VERSION: u32 = 3;
    fn key(&self) -> Option<Key> {
        Some("order-7".into())
    }
}

fn order(cents: u64) -> OrderPlaced {
    OrderPlaced { cents, currency: "EUR".into() }
}

fn upcasters() -> Upcasters {
    Upcasters::new()
        .step(OrderPlaced::TYPE, 1, 2, |data| {
            Ok(json!({ "cents": data["euros"].as_u64().ok_or("no euros")? * 100 }))
        })
        .unwrap()
        .step(OrderPlaced::TYPE, 2, 3, |mut data| {
            data["currency"] = json!("EUR");
            Ok(data)
        })
        .unwrap()
}
