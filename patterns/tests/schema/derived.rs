//! Schemas as they are derived from Rust types, and the changes that people make to those.

use std::collections::{BTreeMap, HashMap};

use anybroker_core::Event;
use anybroker_patterns::schema::{Check, Rule, Schema, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OrderPlaced;

fn schema<T: JsonSchema>(version: u32) -> Schema {
    let generator = schemars::generate::SchemaSettings::draft07().into_generator();
    Schema::new("t", version, generator.into_root_schema_for::<T>().to_value())
}

/// What stands in the way from `W` to `R`.
fn between<W: JsonSchema, R: JsonSchema>() -> Vec<(Rule, String)> {
    let report = Check::backward().run(&[schema::<W>(1), schema::<R>(2)]);
    report.findings().map(|finding| (finding.rule, finding.pointer.clone())).collect()
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Line {
    item: String,
    count: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by")]
enum Payment {
    Card { last_digits: String },
    Invoice { days: u8 },
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Priority {
    Low,
    /// With a text of its own, which makes another schema of it.
    High,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Shape {
    Nothing,
    Point(f64, f64),
    Named { name: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Everything {
    lines: Vec<Line>,
    payment: Payment,
    priority: Option<Priority>,
    shape: Shape,
    notes: BTreeMap<String, String>,
    counts: HashMap<u8, i64>,
    parent: Option<Box<Everything>>,
    #[serde(default)]
    draft: bool,
    letter: char,
    fixed: [u8; 3],
    any: serde_json::Value,
    unit: (),
}

#[test]
fn a_type_reads_itself() {
    assert_eq!(between::<Everything, Everything>(), []);
    assert_eq!(between::<Payment, Payment>(), []);
    assert_eq!(between::<Shape, Shape>(), []);
}

mod changed {
    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) struct Line {
        item: String,
        count: u16,
        #[serde(default)]
        note: Option<String>,
        unit: String,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(tag = "by")]
    pub(super) enum Payment {
        Card { last_digits: String, holder: String },
        Voucher { code: String },
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) enum Priority {
        Low,
        Middle,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) enum Shape {
        Nothing,
        Named { name: u8 },
        Point(f64, f64),
        Added(String),
    }
}

#[test]
fn changes_to_rust_types_are_found() {
    let mut line = between::<Line, changed::Line>();
    line.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(line, [(Rule::Bounds, "/count".to_owned()), (Rule::Required, "/unit".to_owned())]);
    assert_eq!(
        between::<Payment, changed::Payment>(),
        [(Rule::Required, "/holder".to_owned()), (Rule::Variant, String::new())]
    );
    let priority = between::<Priority, changed::Priority>();
    assert!(
        matches!(&priority[..], [(Rule::Value | Rule::Variant, place)] if place.is_empty()),
        "{priority:?}"
    );
    assert_eq!(between::<Shape, changed::Shape>(), [(Rule::Type, "/Named/name".to_owned())]);
}

#[test]
fn a_variant_added_is_read_by_the_new_and_not_by_the_old() {
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema counts")]
    enum More {
        Low,
        High,
        Highest,
    }
    assert_eq!(between::<Priority, More>(), []);
    let report = Check::forward().run(&[schema::<Priority>(1), schema::<More>(2)]);
    assert_eq!(report.compared[0].verdict, Verdict::Incompatible);
    let reason = &report.findings().next().unwrap().reason;
    assert!(reason.contains("Highest") && reason.contains("version 2 may write"), "{reason}");
}

#[test]
fn an_event_brings_its_type_and_version() {
    let schema = Schema::of::<OrderPlaced>();
    assert_eq!((&*schema.event_type, schema.version), (OrderPlaced::TYPE, OrderPlaced::VERSION));
    assert_eq!(schema.document["required"], serde_json::json!(["cents", "currency"]));
}
