//! One reader, one writer: whether everything that may be written is read.

use std::collections::HashSet;

use serde_json::Value;

use super::flat::{Keywords, demands, refers, writes};
use super::values::{list, listed, may_be, same, types, within};
use super::{Finding, Rule};
use crate::schema::Schema;

/// How deep payloads are looked into, and how many pairs of schemas are.
const DEEPEST: usize = 64;
const MOST: usize = 50_000;

/// What says nothing about which payloads there are.
const ANNOTATIONS: [&str; 14] = [
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "example",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];
/// What is looked at elsewhere.
const JUDGED: [&str; 25] = [
    "type",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "prefixItems",
    "additionalItems",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "uniqueItems",
    "pattern",
    "multipleOf",
];

pub(super) struct Reading<'a> {
    pub(super) reader: &'a Schema,
    pub(super) writer: &'a Schema,
    pub(super) findings: Vec<Finding>,
    /// Pairs that are being looked at, so that schemas that contain themselves come to an end.
    open: HashSet<(String, String)>,
    looked: usize,
}

impl<'a> Reading<'a> {
    /// All that stands in the way.
    pub(super) fn of(reader: &'a Schema, writer: &'a Schema) -> Vec<Finding> {
        let mut reading = Reading { reader, writer, findings: Vec::new(), open: HashSet::new(), looked: 0 };
        reading.read("", &reader.document, &writer.document);
        reading.findings
    }

    /// Notes what the reader's schema does not read of the writer's.
    pub(super) fn read(&mut self, at: &str, reader: &Value, writer: &Value) {
        if *reader == Value::Bool(true) || *writer == Value::Bool(false) {
            return;
        }
        let pair = (reader.to_string(), writer.to_string());
        if self.open.contains(&pair) {
            return;
        }
        self.looked += 1;
        if self.open.len() > DEEPEST || self.looked > MOST {
            return self.not_judged(at, "the schemas are too deep or too large");
        }
        let (document, written) = (&self.reader.document, &self.writer.document);
        let (reads, writes) = match (demands(document, reader), writes(written, writer)) {
            (Ok(reads), Ok(writes)) => (reads, writes),
            (Err(why), _) => return self.not_judged(at, format!("{}: {why}", self.reads())),
            (_, Err(why)) => return self.not_judged(at, format!("{}: {why}", self.writes())),
        };
        self.open.insert(pair.clone());
        for written in &writes {
            for part in &reads {
                self.part(at, part, written);
            }
        }
        self.open.remove(&pair);
    }

    /// One demand, one alternative.
    fn part(&mut self, at: &str, reader: &Keywords, writer: &Keywords) {
        if reader == writer && !reader.values().any(refers) {
            return;
        }
        if !self.types(at, reader, writer) || !self.values(at, reader, writer) {
            return;
        }
        for (name, exclusive) in [("anyOf", false), ("oneOf", true)] {
            if let Some(Value::Array(alternatives)) = reader.get(name) {
                self.alternatives(at, alternatives, exclusive, writer);
            }
        }
        if may_be(writer, "object") {
            self.object(at, reader, writer);
        }
        if may_be(writer, "array") {
            self.array(at, reader, writer);
        }
        self.bounds(at, reader, writer);
        self.formats(at, reader, writer);
        self.others(at, reader, writer);
    }

    /// Whether there is anything left to look at.
    fn types(&mut self, at: &str, reader: &Keywords, writer: &Keywords) -> bool {
        if !reader.contains_key("type") {
            return true;
        }
        let (read, written) = (types(reader), types(writer));
        let (known, unknown): (Vec<_>, Vec<_>) =
            written.iter().partition(|one| read.iter().any(|other| within(one, other)));
        if !unknown.is_empty() {
            let reason = format!(
                "{} may write {}, {} reads {}",
                self.writes(),
                list(unknown),
                self.reads(),
                list(&read)
            );
            self.find(Rule::Type, at, reason);
        }
        !known.is_empty()
    }

    fn values(&mut self, at: &str, reader: &Keywords, writer: &Keywords) -> bool {
        let read = match (reader.get("const"), reader.get("enum")) {
            (Some(value), _) => vec![value.clone()],
            (None, Some(Value::Array(values))) => values.clone(),
            _ => return true,
        };
        let Some(written) = listed(writer) else {
            let reason = format!(
                "{} may write any {}, {} reads only {}",
                self.writes(),
                list(types(writer)),
                self.reads(),
                list(&read)
            );
            self.find(Rule::Value, at, reason);
            return false;
        };
        let unknown: Vec<_> =
            written.iter().filter(|value| !read.iter().any(|other| same(value, other))).collect();
        for value in &unknown {
            let reason =
                format!("{} may write {value}, {} reads only {}", self.writes(), self.reads(), list(&read));
            self.find(Rule::Value, at, reason);
        }
        unknown.is_empty()
    }

    /// What nobody has looked at must be the same.
    fn others(&mut self, at: &str, reader: &Keywords, writer: &Keywords) {
        for (name, value) in reader {
            let known = ANNOTATIONS.contains(&&**name) || JUDGED.contains(&&**name) || name.starts_with("x-");
            if known
                || (writer.get(name) == Some(value)
                    && !refers(value)
                    && name != "unevaluatedProperties"
                    && name != "unevaluatedItems")
            {
                continue;
            }
            self.not_judged(at, format!("{} has `{name}`, which is not compared", self.reads()));
        }
    }

    pub(super) fn find(&mut self, rule: Rule, at: &str, reason: impl Into<String>) {
        let finding = Finding { rule, pointer: at.to_owned(), reason: reason.into() };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    pub(super) fn not_judged(&mut self, at: &str, reason: impl Into<String>) {
        self.find(Rule::NotJudged, at, reason);
    }

    pub(super) fn reads(&self) -> String {
        format!("version {}", self.reader.version)
    }

    pub(super) fn writes(&self) -> String {
        format!("version {}", self.writer.version)
    }
}
