//! Fields and items.

use serde_json::{Map, Value};

use super::Rule;
use super::flat::Keywords;
use super::reading::Reading;
use crate::schema::registry::join;

/// What may add fields to a payload that are not among the declared ones.
const INDIRECT: [&str; 6] = ["patternProperties", "if", "then", "else", "dependentSchemas", "dependencies"];

impl Reading<'_> {
    pub(super) fn object(&mut self, at: &str, reader: &Keywords, writer: &Keywords) {
        let (read, written) = (properties(reader), properties(writer));
        let further = writer.get("additionalProperties").filter(|schema| **schema != Value::Bool(false));
        let indirect = INDIRECT.iter().find(|name| writer.contains_key(**name));
        let interested = ["properties", "additionalProperties"].iter().any(|name| reader.contains_key(*name));
        if let Some(name) = indirect.filter(|_| interested && reader != writer) {
            self.not_judged(at, format!("{} has `{name}`, which may add fields", self.writes()));
        }
        if interested && written.is_empty() && !writer.contains_key("additionalProperties") {
            self.not_judged(at, format!("{} does not say which fields it writes", self.writes()));
        }
        self.required(at, reader, writer, &read, &written);
        for (name, schema) in &read {
            match (written.get(name), further) {
                (Some(written), _) => self.read(&join(at, name), schema, written),
                (None, Some(further)) => self.read(&join(at, name), schema, further),
                (None, None) => {}
            }
        }
        let patterns = reader.contains_key("patternProperties");
        let Some(rest) = reader.get("additionalProperties").filter(|schema| **schema != Value::Bool(true))
        else {
            return;
        };
        for (name, schema) in written.iter().filter(|(name, _)| !read.contains_key(*name)) {
            let place = join(at, name);
            if patterns {
                self.not_judged(
                    &place,
                    format!("{} has `patternProperties`, which are not compared", self.reads()),
                );
            } else if *rest == Value::Bool(false) {
                let reason = format!(
                    "{} writes it, {} refuses fields that it does not know",
                    self.writes(),
                    self.reads()
                );
                self.find(Rule::Refused, &place, reason);
            } else {
                self.read(&place, rest, schema);
            }
        }
        match further {
            Some(_) if *rest == Value::Bool(false) => {
                let reason =
                    format!("{} may write further fields, {} refuses them", self.writes(), self.reads());
                self.find(Rule::Refused, at, reason);
            }
            Some(further) => self.read(&join(at, "*"), rest, further),
            None => {}
        }
    }

    fn required(
        &mut self,
        at: &str,
        reader: &Keywords,
        writer: &Keywords,
        read: &Map<String, Value>,
        written: &Map<String, Value>,
    ) {
        let always = names(writer);
        for name in names(reader).iter().filter(|name| !always.contains(name)) {
            // As deserializers do it.
            if read.get(name).is_some_and(|schema| schema.get("default").is_some()) {
                continue;
            }
            let how = if written.contains_key(name) { "may leave it out" } else { "does not write it" };
            let reason = format!("{} {how}, {} requires it, without a default", self.writes(), self.reads());
            self.find(Rule::Required, &join(at, name), reason);
        }
    }

    pub(super) fn array(&mut self, at: &str, reader: &Keywords, writer: &Keywords) {
        let (read, written) = (Items::of(reader), Items::of(writer));
        let place = join(at, "*");
        for at_index in 0..read.first.len().max(written.first.len()) {
            self.read(&join(at, &at_index.to_string()), &read.at(at_index), &written.at(at_index));
        }
        // Behind the last of a tuple there is nothing to be compared where there is nothing.
        let most = writer.get("maxItems").and_then(Value::as_u64);
        if most.is_none_or(|most| most > read.first.len().max(written.first.len()) as u64) {
            self.read(&place, &read.rest, &written.rest);
        }
    }
}

/// The items of an array: the first ones each by their own schema, and all others.
struct Items {
    first: Vec<Value>,
    rest: Value,
}

impl Items {
    fn of(keywords: &Keywords) -> Self {
        let or_any = |name| keywords.get(name).cloned().unwrap_or(Value::Bool(true));
        match (keywords.get("prefixItems"), keywords.get("items")) {
            (Some(Value::Array(first)), _) => Items { first: first.clone(), rest: or_any("items") },
            // Up to draft 7.
            (_, Some(Value::Array(first))) => Items { first: first.clone(), rest: or_any("additionalItems") },
            _ => Items { first: Vec::new(), rest: or_any("items") },
        }
    }

    fn at(&self, index: usize) -> Value {
        self.first.get(index).unwrap_or(&self.rest).clone()
    }
}

pub(super) fn properties(keywords: &Keywords) -> Map<String, Value> {
    keywords.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The fields that are required.
pub(super) fn names(keywords: &Keywords) -> Vec<String> {
    let required = keywords.get("required").and_then(Value::as_array);
    required.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
