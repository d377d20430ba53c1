//! Schemas on a real server, found by `ANYBROKER_REGISTRY_URL`, and messages framed by its ids.
//! `ANYBROKER_TEST_EXCLUDE=registry` leaves it out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod failing;
mod framed;
mod gate;
mod registering;
mod server;
mod worker;

use anybroker_core::{Event, Key};
use serde_json::{Value, json};

/// Version 1 had `euros`.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct OrderPlaced {
    cents: u64,
}

impl Event for OrderPlaced {
    const TYPE: &'static str = "order.placed";
    const VERSION: u32 = 2;
    fn key(&self) -> Option<Key> {
        Some("order-7".into())
    }
}

/// An object that has these members, of these types, and no others.
fn closed(members: &[(&str, &str)]) -> Value {
    let members = members.iter().map(|(name, of)| ((*name).to_owned(), json!({ "type": of })));
    json!({ "type": "object", "properties": Value::Object(members.collect()), "additionalProperties": false })
}
