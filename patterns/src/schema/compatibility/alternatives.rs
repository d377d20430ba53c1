//! `anyOf` and `oneOf` of a reader, which are Rust's enums.

use serde_json::Value;

use super::Rule;
use super::flat::{Keywords, demands};
use super::object::{names, properties};
use super::reading::Reading;
use super::values::{list, listed, overlaps, same, types};

/// How deep two schemas are looked into to tell them apart.
const DEEPEST: usize = 6;

impl Reading<'_> {
    /// Everything that is written must be read by one of the alternatives.
    pub(super) fn alternatives(&mut self, at: &str, all: &[Value], exclusive: bool, writer: &Keywords) {
        if let Some(Value::Array(values)) =
            writer.get("enum").filter(|values| values.as_array().is_some_and(|v| v.len() > 1))
        {
            for value in values {
                let mut one = writer.clone();
                one.remove("enum");
                one.insert("const".to_owned(), value.clone());
                self.alternatives(at, all, exclusive, &one);
            }
            return;
        }
        let written = Value::Object(writer.clone());
        let before = std::mem::take(&mut self.findings);
        let tried: Vec<_> = all
            .iter()
            .map(|one| {
                self.read(at, one, &written);
                std::mem::take(&mut self.findings)
            })
            .collect();
        self.findings = before;
        let apart =
            |one: &Value, strict| apart(&self.reader.document, one, &self.writer.document, writer, strict, 0);
        if let Some(reads) = tried.iter().position(Vec::is_empty) {
            let doubtful = all.iter().enumerate().any(|(at, one)| at != reads && !apart(one, true));
            if exclusive && doubtful {
                self.not_judged(
                    at,
                    format!(
                        "{} may be read as two alternatives of `oneOf` in {}",
                        describe(writer),
                        self.reads()
                    ),
                );
            }
            return;
        }
        let likely: Vec<_> =
            all.iter().zip(tried).filter(|(one, _)| !apart(one, false)).map(|(_, found)| found).collect();
        match <[_; 1]>::try_from(likely) {
            Ok([found]) => found
                .into_iter()
                .for_each(|finding| self.find(finding.rule, &finding.pointer, finding.reason)),
            Err(none) if none.is_empty() => {
                let reason = format!(
                    "{} may write {}, for which {} has no alternative",
                    self.writes(),
                    describe(writer),
                    self.reads()
                );
                self.find(Rule::Variant, at, reason);
            }
            Err(several) => {
                let closest = several.iter().min_by_key(|found| found.len()).and_then(|found| found.first());
                let closest = closest.map(|finding| format!("; the closest: {finding}")).unwrap_or_default();
                self.not_judged(
                    at,
                    format!(
                        "no single alternative of {} reads all of {}{closest}",
                        self.reads(),
                        describe(writer)
                    ),
                );
            }
        }
    }
}

/// Whether nothing is both: what the writer writes, and what one alternative reads. Not `strict`: whether they are meant to
/// be two things, by their types and tags.
fn apart(
    document: &Value,
    one: &Value,
    written_in: &Value,
    writer: &Keywords,
    strict: bool,
    depth: usize,
) -> bool {
    let Ok(parts) = demands(document, one) else { return false };
    parts.iter().any(|part| part_apart(document, part, written_in, writer, strict, depth))
}

fn part_apart(
    document: &Value,
    part: &Keywords,
    written_in: &Value,
    writer: &Keywords,
    strict: bool,
    depth: usize,
) -> bool {
    if depth > DEEPEST {
        return false;
    }
    let (read, written) = (types(part), types(writer));
    if !read.iter().any(|one| written.iter().any(|other| overlaps(one, other))) {
        return true;
    }
    if let (Some(read), Some(written)) = (listed(part), listed(writer)) {
        return !read.iter().any(|one| written.iter().any(|other| same(one, other)));
    }
    let nested = ["anyOf", "oneOf"].iter().filter_map(|name| part.get(*name)?.as_array());
    if nested
        .into_iter()
        .any(|all| all.iter().all(|one| apart(document, one, written_in, writer, strict, depth + 1)))
    {
        return true;
    }
    if written != ["object"] {
        return false;
    }
    let (read, written) = (properties(part), properties(writer));
    let (wanted, always) = (names(part), names(writer));
    // Tagged from outside: an object with one field, which is the variant's name.
    let closed =
        |keywords: &Keywords| keywords.get("additionalProperties").is_none_or(|it| *it == Value::Bool(false));
    let refuses = part.get("additionalProperties") == Some(&Value::Bool(false));
    if refuses && (strict || read.len() == 1) && always.iter().any(|name| !read.contains_key(name)) {
        return true;
    }
    if strict && closed(writer) && wanted.iter().any(|name| !written.contains_key(name)) {
        return true;
    }
    always.iter().filter_map(|name| Some((read.get(name)?, written.get(name)?))).any(|(read, written)| {
        // A field that changed makes no other variant; a tag does.
        if !strict && written.as_object().and_then(listed).is_none() {
            return false;
        }
        let Ok(written) = super::flat::writes(written_in, written) else { return false };
        !written.is_empty()
            && written.iter().all(|one| apart(document, read, written_in, one, strict, depth + 1))
    })
}

/// A variant in few words.
fn describe(writer: &Keywords) -> String {
    if let Some(value) = writer.get("const") {
        return value.to_string();
    }
    let fields = properties(writer);
    let tag = fields.iter().find_map(|(name, schema)| Some((name, listed(schema.as_object()?)?)));
    match (tag, &names(writer)[..]) {
        (Some((name, values)), _) => format!("an object whose `{name}` is {}", list(values)),
        (None, [name]) if fields.len() == 1 => format!("an object with `{name}`"),
        _ => format!("this {}", list(types(writer))),
    }
}
