//! Small reports: one that passes, one with everything that can go wrong, and a kill matrix.

use anybroker_conformance::properties;
use anybroker_conformance::report::Document;
use serde_json::{Value, json};

/// Text that wants to get out of wherever it stands.
pub(crate) const HOSTILE: &str = "</td></script><script>alert('1')</script> & \"x\" | `y` \u{1b}[31m";

fn run(configuration: &str, more: &Value) -> String {
    let mut run = json!({
        "format": "anybroker-conformance/1", "backend": "memory", "configuration": configuration,
        "url": "memory://", "version": "0.1.0", "seed": 7, "faults_allowed": "all", "began": 1_795_000_000,
        "verdict": "pass", "unmet": [], "properties": {}, "faults": {}, "fault_list": [],
        "published": 2_400, "delivered": 2_650, "redeliveries": 250, "unknown_publishes": 0,
        "cases": [], "guarantees": [],
    });
    let fields = run.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    run.to_string()
}

fn case(name: &str, verdict: &str, text: &str) -> Value {
    json!({"name": name, "verdict": verdict, "text": text, "seconds": 0.5, "seed": 7})
}

fn property(verdict: &str, opportunities: u64, minimum: u64) -> Value {
    json!({"verdict": verdict, "opportunities": opportunities, "minimum": minimum, "cases": ["order_per_key"]})
}

fn passing() -> String {
    let mut progress = property("not_applicable", 0, 30);
    progress["reason"] = "no fault is possible here (embedded)".into();
    run(
        "memory",
        &json!({
            "properties": {"P1": property("pass", 2_650, 1_000), "P7": property("pass", 124_585, 1_000), "P17": progress},
            "cases": [
                case("order_per_key", "holds", "1200 confirmed"),
                case("lease_lapses", "not_promised", "lease = session"),
                case("broker_paused", "not_applicable", "embedded: it has no process of its own"),
            ],
            "guarantees": [{"name": "ordering", "value": "key", "basis": "client"}],
        }),
    )
}

/// The history of a broker that hands out m5 before m4, under a fault, judged by the checkers.
const REORDERED: &str = r#"{"history":"anybroker/1","backend":"own","epsilon_ms":50,"promises":{"P7":{"scope":"key"}}}
{"t":1000000,"e":"open","session":"s1","consumer":"c1","group":"g","topic":"t","start":"earliest"}
{"t":2000000,"e":"publish","m":"m4","publisher":"p1","topic":"t","key":"k1","hash":"h4"}
{"t":3000000,"e":"published","m":"m4","outcome":"ok","position":{"partition":0,"offset":4}}
{"t":4000000,"e":"publish","m":"m5","publisher":"p1","topic":"t","key":"k1","hash":"h5"}
{"t":5000000,"e":"published","m":"m5","outcome":"ok","position":{"partition":0,"offset":5}}
{"t":6000000,"e":"fault","kind":"kill","target":"broker"}
{"t":7000000,"e":"deliver","d":"d5","m":"m5","session":"s1","key":"k1","hash":"h5"}
{"t":8000000,"e":"deliver","d":"d4","m":"m4","session":"s1","key":"k1","hash":"h4"}
{"t":9000000,"e":"settle","d":"d5","verdict":"ack"}
"#;

fn violation() -> Value {
    let history = anybroker_conformance::history::read(REORDERED.as_bytes()).unwrap();
    let report = properties::check(&history);
    let found = &report.properties[&properties::Property::P7].violations[0];
    let steps = found.timeline.iter().map(|step| {
        json!({"line": step.line, "time": step.time, "actor": step.actor, "way": step.way, "message": step.message, "text": step.text})
    });
    json!({"case": "order_per_key", "messages": found.messages, "explanation": found.explanation, "timeline": steps.collect::<Vec<_>>()})
}

/// Steps of every sort.
fn loss() -> Value {
    let step = |line: u64, actor: Value, way: &str, message: Value, text: &str| json!({"line": line, "time": line * 1_500_000, "actor": actor, "way": way, "message": message, "text": text});
    let (publisher, consumer) = (json!({"publisher": "publisher-of-orders-1"}), json!({"consumer": "c1"}));
    json!({"case": HOSTILE, "messages": ["m9"], "explanation": format!("m9 was lost {HOSTILE}"), "timeline": [
        step(11, publisher.clone(), "to_broker", "m9".into(), "publisher-of-orders-1 publishes m9, key k1"),
        step(12, publisher, "from_broker", "m9".into(), "m9 published: ok"),
        step(13, consumer.clone(), "at", Value::Null, "c1 opens a session of group g"),
        step(14, consumer.clone(), "from_broker", "m9".into(), "m9 delivered to c1 from 0:7"),
        step(15, consumer.clone(), "to_broker", "m9".into(), "c1 negatively acknowledges m9"),
        step(16, consumer, "from_broker", "m9".into(), "m9 settled: ok"),
        step(17, "broker".into(), "at", Value::Null, "fault: kill broker"),
        step(18, "broker".into(), "at", Value::Null, "group g is drained"),
    ]})
}

fn failing() -> String {
    let mut order = property("violation", 812, 1_000);
    order["violations"] = json!([violation()]);
    let mut lost = property("violation", 2_000, 1_000);
    lost["violations"] = json!([loss()]);
    let mut open = property("inconclusive", 40, 30);
    open["reason"] = "m3 is missing from group g, which was not drained".into();
    let fault =
        |kind: &str, case: &str, in_flight: u64| json!({"kind": kind, "case": case, "in_flight": in_flight});
    run(
        "own <b>\"hostile\"</b>",
        &json!({
            "backend": "own", "version": HOSTILE, "url": "own://host", "verdict": "violation",
            "unmet": ["P6 was exercised 3 times, and 30 is the least", HOSTILE],
            "properties": {"P1": property("pass", 2_000, 1_000), "P3": lost, "P6": property("not_exercised", 3, 30),
                "P7": order, "P9": open, "P17": property("stalled", 40, 30)},
            "faults": {"kill": 2, "restart": 2, "cut": 1},
            "fault_list": [fault("kill", "broker_killed", 212), fault("restart", "broker_killed", 9),
                fault("cut", "connection_cut", 4), fault("kill", HOSTILE, 60)],
            "cases": [
                case("order_per_key", "failed", "the history breaks a promise\nover two lines"),
                case("round_trip", "failed", HOSTILE),
                case("missing_topic", "holds", "not found"),
                case("dead_letter", "not_run", "left out by name"),
            ],
        }),
    )
}

fn liars() -> String {
    let liar = |name: &str, root: &str, reported: &[&str], verdict: &str, about: &str| {
        json!({"name": name, "about": about, "root": root, "consequences": ["P3"], "because": ["it never came"],
            "reported": reported, "shown": ["m4 came twice"], "cases": ["order_per_key"], "verdict": verdict})
    };
    json!({"liars": 3, "named": 1, "missed": ["keeps-quiet"], "misnamed": ["swaps"], "falsely_accused": ["honest-2"],
        "controls": ["honest", "honest-2"], "matrix": [
            liar("drops-one-in-fifty", "P3", &["P3"], "named", "confirms what it does not store"),
            liar("keeps-quiet", "P17", &[], "missed", HOSTILE),
            liar("swaps", "P7", &["P9"], "misnamed", "hands out two messages of a key in the wrong order"),
        ]})
    .to_string()
}

pub(crate) fn document(parts: &[&str]) -> Document {
    let mut document = Document::default();
    for part in parts {
        let text = match *part {
            "passing" => passing(),
            "failing" => failing(),
            "liars" => liars(),
            other => panic!("{other}?"),
        };
        document.add(&text).unwrap();
    }
    document
}
