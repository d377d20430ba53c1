//! Schemas in AWS Glue: on Moto, which imitates it, found by `ANYBROKER_GLUE_URL`, and what Moto does not have on a stub.
//! `ANYBROKER_TEST_EXCLUDE=glue` leaves out what needs Moto.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod failing;
mod registering;
mod server;
mod stub;
mod stubbed;

use serde_json::{Value, json};

/// An object that has these members, of these types, and no others.
fn closed(members: &[(&str, &str)]) -> Value {
    let members = members.iter().map(|(name, of)| ((*name).to_owned(), json!({ "type": of })));
    json!({ "type": "object", "properties": Value::Object(members.collect()), "additionalProperties": false })
}
