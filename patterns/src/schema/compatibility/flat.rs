//! Schemas without references and `allOf`: what a reader demands, part by part, and what is known of a writer.

use serde_json::{Map, Value, json};

pub(super) type Keywords = Map<String, Value>;

/// How deep references may lead before something is the matter with them.
const DEEPEST: usize = 32;
/// How many alternatives a writer may have.
pub(super) const MOST: usize = 512;

/// All that a reader demands: every part must hold.
pub(super) fn demands(document: &Value, schema: &Value) -> Result<Vec<Keywords>, String> {
    let mut parts = Vec::new();
    collect(document, schema, &mut parts, 0)?;
    Ok(parts)
}

fn collect(document: &Value, schema: &Value, parts: &mut Vec<Keywords>, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err("its references lead in a circle, or too deep".to_owned());
    }
    let mut own = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Bool(false) => {
            parts.push(nothing());
            return Ok(());
        }
        Value::Object(own) => own.clone(),
        _ => return Err("it is no schema".to_owned()),
    };
    if let Some(target) = reference(document, &mut own)? {
        collect(document, &target, parts, depth + 1)?;
    }
    if let Some(Value::Array(all)) = own.remove("allOf") {
        all.iter().try_for_each(|one| collect(document, one, parts, depth + 1))?;
    }
    parts.push(own);
    Ok(())
}

/// What holds of no payload.
fn nothing() -> Keywords {
    let mut nothing = Keywords::new();
    nothing.insert("enum".to_owned(), json!([]));
    nothing
}

/// Everything that may be written, one alternative each.
pub(super) fn writes(document: &Value, schema: &Value) -> Result<Vec<Keywords>, String> {
    let mut merged = Keywords::new();
    let mut unions = Vec::new();
    for mut part in demands(document, schema)? {
        let union = ["anyOf", "oneOf"].iter().find_map(|name| part.remove(*name));
        if let Some(Value::Array(union)) = union {
            unions.push(union);
        }
        merge(&mut merged, part);
    }
    let mut all = vec![merged];
    for union in unions {
        let mut next = Vec::new();
        for one in &all {
            for alternative in &union {
                for keywords in writes(document, alternative)? {
                    let mut both = one.clone();
                    merge(&mut both, keywords);
                    next.push(both);
                }
                if next.len() > MOST {
                    return Err(format!("it has more than {MOST} alternatives"));
                }
            }
        }
        all = next;
    }
    Ok(all.into_iter().flat_map(by_type).collect())
}

/// One for each type.
fn by_type(keywords: Keywords) -> Vec<Keywords> {
    let Some(Value::Array(types)) = keywords.get("type") else { return vec![keywords] };
    let types = types.clone();
    let one = |name: Value| {
        let mut one = keywords.clone();
        if let Some(Value::Array(values)) = one.get_mut("enum") {
            values.retain(|value| name.as_str().is_none_or(|name| super::values::is_of(value, name)));
        }
        one.insert("type".to_owned(), name);
        one
    };
    types.into_iter().map(one).filter(|one| one.get("enum") != Some(&json!([]))).collect()
}

/// What a `$ref` leads to, taken out. Up to draft 7 what stands beside it does not count.
fn reference(document: &Value, own: &mut Keywords) -> Result<Option<Value>, String> {
    if own.contains_key("$dynamicRef") || own.contains_key("$recursiveRef") {
        return Err("it has a dynamic reference".to_owned());
    }
    let Some(Value::String(place)) = own.remove("$ref") else { return Ok(None) };
    let old = document["$schema"].as_str().is_some_and(|draft| draft.contains("draft-0"));
    if old {
        own.clear();
    }
    let target = place
        .strip_prefix('#')
        .map(|pointer| percent_encoding::percent_decode_str(pointer).decode_utf8_lossy());
    let target = target.and_then(|pointer| document.pointer(&pointer).cloned());
    target.map(Some).ok_or_else(|| format!("`{place}` leads to nothing in the same document"))
}

/// Adds what is known. Where both know, what is kept is true, if not all of it.
fn merge(known: &mut Keywords, more: Keywords) {
    for (name, value) in more {
        let Some(present) = known.get(&name).cloned() else {
            known.insert(name, value);
            continue;
        };
        if present == value {
            continue;
        }
        let merged = match (name.as_str(), present, value) {
            ("properties", Value::Object(one), Value::Object(other)) => both(one, other),
            ("required", Value::Array(one), Value::Array(other)) => Value::Array([one, other].concat()),
            ("type", one, other) => common(one, other),
            ("additionalProperties", one, other) if one == json!(false) || other == json!(false) => {
                json!(false)
            }
            ("items", one, other) => json!({ "allOf": [one, other] }),
            (_, one, _) => one,
        };
        known.insert(name, merged);
    }
}

fn both(mut one: Keywords, other: Keywords) -> Value {
    for (name, schema) in other {
        let schema = match one.remove(&name) {
            Some(first) => json!({ "allOf": [first, schema] }),
            None => schema,
        };
        one.insert(name, schema);
    }
    Value::Object(one)
}

fn common(one: Value, other: Value) -> Value {
    let names = |value: &Value| match value {
        Value::Array(names) => names.clone(),
        name => vec![name.clone()],
    };
    let (one, other) = (names(&one), names(&other));
    let mut common: Vec<_> = one.iter().filter(|name| other.contains(name)).cloned().collect();
    let has = |names: &[Value], name: &str| names.contains(&json!(name));
    let whole =
        (has(&one, "integer") && has(&other, "number")) || (has(&one, "number") && has(&other, "integer"));
    if whole && !has(&common, "integer") && !has(&common, "number") {
        common.push(json!("integer"));
    }
    Value::Array(common)
}

/// Whether it refers to something that is another thing in another document.
pub(super) fn refers(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key("$ref") || map.values().any(refers),
        Value::Array(items) => items.iter().any(refers),
        _ => false,
    }
}
