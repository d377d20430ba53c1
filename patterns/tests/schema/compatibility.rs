//! What the check says of two versions: rule and place of everything that stands in the way.

use anybroker_patterns::schema::{Check, Direction, Report, Rule, Schema, Upcasters, Verdict};
use serde_json::{Value, json};

fn versions(documents: &[Value]) -> Vec<Schema> {
    (1..).zip(documents).map(|(version, it)| Schema::new("it.happened", version, it.clone())).collect()
}

/// What stands in the way of reading with `reader` what `writer` writes.
fn findings(writer: Value, reader: Value) -> Vec<(Rule, String)> {
    let report = Check::backward().run(&versions(&[writer, reader]));
    report.findings().map(|finding| (finding.rule, finding.pointer.clone())).collect()
}

fn compatible(writer: Value, reader: Value) {
    let report = Check::backward().run(&versions(&[writer.clone(), reader.clone()]));
    assert!(report.holds(), "{writer}\n{reader}\n{report:#?}");
}

/// Exactly one finding.
fn one(writer: Value, reader: Value, rule: Rule, pointer: &str) {
    assert_eq!(findings(writer.clone(), reader.clone()), [(rule, pointer.to_owned())], "{writer}\n{reader}");
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

#[test]
fn what_readers_bear() {
    let text = || json!({ "type": "string" });
    // A field added that may be missing, and one that has a default; one removed; an annotation.
    compatible(object(json!({ "a": text() }), &["a"]), object(json!({ "a": text(), "b": text() }), &["a"]));
    let with_default = object(json!({ "a": text(), "b": { "type": "string", "default": "x" } }), &["a", "b"]);
    compatible(object(json!({ "a": text() }), &["a"]), with_default);
    compatible(
        object(json!({ "a": text(), "b": text() }), &["a", "b"]),
        object(json!({ "a": text() }), &["a"]),
    );
    compatible(json!({ "type": "string", "title": "x" }), json!({ "type": "string", "title": "y" }));
    // Wider types, ranges, lengths, enumerations.
    compatible(json!({ "type": "integer" }), json!({ "type": "number" }));
    compatible(json!({ "type": "string" }), json!({ "type": ["string", "null"] }));
    compatible(json!({ "enum": ["a"] }), json!({ "enum": ["a", "b"] }));
    compatible(json!({ "const": "a" }), json!({ "type": "string" }));
    compatible(json!({ "type": "boolean" }), json!({ "enum": [true, false] }));
    compatible(
        json!({ "type": "integer", "minimum": 1 }),
        json!({ "type": "integer", "exclusiveMinimum": 0 }),
    );
    let number = |format| json!({ "type": "integer", "format": format });
    compatible(number("uint32"), number("int64"));
    compatible(json!({ "type": "string", "maxLength": 5 }), json!({ "type": "string", "maxLength": 9 }));
    compatible(json!({ "type": "string" }), json!(true));
    compatible(json!(false), json!({ "type": "string" }));
}

#[test]
fn what_readers_do_not_bear() {
    let text = || json!({ "type": "string" });
    let a = || object(json!({ "a": text() }), &["a"]);
    one(a(), object(json!({ "a": text(), "b/c": text() }), &["a", "b/c"]), Rule::Required, "/b~1c");
    one(object(json!({ "a": text() }), &[]), a(), Rule::Required, "/a");
    one(a(), object(json!({ "a": { "type": "integer" } }), &["a"]), Rule::Type, "/a");
    one(json!({ "type": "number" }), json!({ "type": "integer" }), Rule::Type, "");
    one(json!({ "type": ["string", "null"] }), text(), Rule::Type, "");
    one(json!({}), text(), Rule::Type, "");
    one(json!({ "enum": ["a", "b"] }), json!({ "enum": ["a"] }), Rule::Value, "");
    one(text(), json!({ "enum": ["a"] }), Rule::Value, "");
    one(text(), json!(false), Rule::Value, "");
    let closed = json!({ "type": "object", "properties": { "a": text() }, "additionalProperties": false });
    one(object(json!({ "a": text(), "b": text() }), &[]), closed.clone(), Rule::Refused, "/b");
    let open = json!({ "type": "object", "properties": { "a": text() }, "additionalProperties": text() });
    one(open.clone(), closed, Rule::Refused, "");
    // What an open writer may write in a field that the reader knows as something else.
    one(open, object(json!({ "a": text(), "b": { "type": "null" } }), &[]), Rule::Type, "/b");
    let map = |values| json!({ "type": "object", "additionalProperties": values });
    one(map(text()), map(json!({ "type": "null" })), Rule::Type, "/*");
    let list = |items| json!({ "type": "array", "items": items });
    one(list(text()), list(json!({ "type": "null" })), Rule::Type, "/*");
    let pair = |second| json!({ "type": "array", "items": [text(), second], "minItems": 2, "maxItems": 2 });
    one(pair(text()), pair(json!({ "type": "null" })), Rule::Type, "/1");
    one(list(text()), json!({ "type": "array", "items": text(), "uniqueItems": true }), Rule::Bounds, "");
    one(json!({ "type": "integer" }), json!({ "type": "integer", "maximum": 9 }), Rule::Bounds, "");
    let number = |format| json!({ "type": "integer", "format": format });
    one(number("uint64"), number("int64"), Rule::Bounds, "");
    one(number("int32"), number("uint32"), Rule::Bounds, "");
    one(text(), json!({ "type": "string", "minLength": 1 }), Rule::Bounds, "");
    one(text(), json!({ "type": "string", "format": "uuid" }), Rule::Format, "");
    one(text(), json!({ "type": "string", "pattern": "^a" }), Rule::Format, "");
    let float = |format| json!({ "type": "number", "format": format });
    one(float("double"), float("float"), Rule::Format, "");
}

#[test]
fn every_violation_is_found() {
    let before = object(
        json!({ "a": { "type": "string" }, "b": { "type": "integer" }, "c": { "enum": [1, 2] } }),
        &["a", "b", "c"],
    );
    let after = object(
        json!({ "a": { "type": "null" }, "b": { "type": "boolean" }, "c": { "enum": [1] }, "d": {} }),
        &["d"],
    );
    let mut found = findings(before, after);
    found.sort_by(|one, other| one.1.cmp(&other.1));
    let expected = [(Rule::Type, "/a"), (Rule::Type, "/b"), (Rule::Value, "/c"), (Rule::Required, "/d")];
    assert_eq!(found, expected.map(|(rule, pointer)| (rule, pointer.to_owned())));
}

#[test]
fn what_cannot_be_judged_is_said() {
    let pattern = |pattern| json!({ "type": "string", "pattern": pattern });
    for (writer, reader) in [
        (pattern("^a"), pattern("^b")),
        (json!({ "type": "string" }), json!({ "not": { "const": "x" } })),
        (json!({ "type": "string" }), json!({ "$ref": "other.json" })),
        (json!({ "$ref": "#/$defs/missing" }), json!({ "type": "string" })),
        (json!({ "type": "object" }), object(json!({ "a": { "type": "string" } }), &[])),
        (json!({ "type": "string" }), json!({ "type": "string", "unheardOf": 1 })),
        (json!({ "type": "integer" }), json!({ "type": "integer", "multipleOf": 2 })),
        (json!({ "type": "integer", "format": "int64" }), json!({ "type": "number", "format": "double" })),
        // Both alternatives read it, and `oneOf` wants one.
        (
            json!({ "type": "string" }),
            json!({ "oneOf": [{ "type": "string" }, { "type": ["string", "null"] }] }),
        ),
        (
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/a" } } }),
            json!({ "type": "string" }),
        ),
        (
            json!({ "type": "object", "patternProperties": { "^x": { "type": "string" } } }),
            object(json!({ "xa": { "type": "integer" } }), &[]),
        ),
    ] {
        let report = Check::backward().run(&versions(&[writer.clone(), reader.clone()]));
        assert!(!report.holds() && !report.violates(), "{writer}\n{reader}\n{report:#?}");
        assert!(report.findings().all(|finding| finding.rule == Rule::NotJudged), "{report:#?}");
    }
    // What is the same needs no judgement.
    for same in [pattern("^a"), json!({ "type": "string", "not": { "const": "x" } })] {
        compatible(same.clone(), same);
    }
}

#[test]
fn schemas_that_contain_themselves_come_to_an_end() {
    let tree = |leaf: &str| {
        let node = json!({ "type": "object", "required": ["leaf", "children"], "properties": {
            "leaf": { "type": leaf }, "children": { "type": "array", "items": { "$ref": "#/$defs/node" } } } });
        json!({ "$ref": "#/$defs/node", "$defs": { "node": node } })
    };
    compatible(tree("string"), tree("string"));
    assert!(findings(tree("string"), tree("null")).contains(&(Rule::Type, "/leaf".to_owned())));
}

#[test]
fn the_last_versions_and_the_directions() {
    let all = versions(&[
        object(json!({ "a": { "type": "string" } }), &["a"]),
        object(json!({ "b": { "type": "string" } }), &["b"]),
        object(json!({ "b": { "type": "string" }, "c": { "type": "string" } }), &["b"]),
    ]);
    let pairs = |report: Report| -> Vec<_> {
        report.compared.iter().map(|it| (it.older, it.direction, it.verdict)).collect()
    };
    let (good, bad) = (Verdict::Compatible, Verdict::Incompatible);
    assert_eq!(pairs(Check::backward().last(1).run(&all)), [(2, Direction::Backward, good)]);
    assert_eq!(
        pairs(Check::backward().run(&all)),
        [(2, Direction::Backward, good), (1, Direction::Backward, bad)]
    );
    assert_eq!(
        pairs(Check::full().run(&all)),
        [
            (2, Direction::Backward, good),
            (2, Direction::Forward, good),
            (1, Direction::Backward, bad),
            (1, Direction::Forward, bad)
        ]
    );
    // Upcasters help the newest version, and nobody else; a chain with a gap helps nobody.
    let same = |from, to, upcasters: Upcasters| upcasters.step("it.happened", from, to, Ok).unwrap();
    let gap = same(1, 2, Upcasters::new());
    assert!(!Check::backward().upcasters(&gap).run(&all).holds());
    let chain = same(2, 3, gap);
    let upcast = Check::backward().upcasters(&chain).run(&all);
    assert_eq!(pairs(upcast.clone())[1], (1, Direction::Backward, Verdict::Upcast));
    assert!(upcast.holds() && upcast.findings().count() == 1, "what is upcast is still told");
    assert!(!Check::full().upcasters(&chain).run(&all).holds());
}

#[test]
fn what_was_published_stays() {
    let published = versions(&[json!({ "type": "string" }), json!({ "type": "string", "title": "x" })]);
    let check = Check::backward().published(published.clone());
    assert!(check.run(&published).holds());
    let mut now = published.clone();
    now[1].document["title"] = json!("y");
    let report = check.run(&now[1..]);
    assert!(report.violates());
    assert_eq!(report.changed[0].differences, None);
    assert_eq!(report.changed[1].differences.as_ref().unwrap()[0].pointer, "/title");
}
