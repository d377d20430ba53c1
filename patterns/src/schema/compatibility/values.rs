//! Types and values.

use serde_json::{Value, json};

use super::flat::Keywords;

/// All types of JSON; every integer is a number too.
const ALL: [&str; 6] = ["null", "boolean", "number", "string", "array", "object"];

/// The types that a schema names, or that its values have; none if it does not say.
fn named(keywords: &Keywords) -> Option<Vec<String>> {
    match keywords.get("type") {
        Some(Value::String(name)) => Some(vec![name.clone()]),
        Some(Value::Array(names)) => {
            Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        _ => {
            let listed = listed(keywords)?;
            let mut types: Vec<_> = listed.iter().map(|value| of(value).to_owned()).collect();
            types.dedup();
            Some(types)
        }
    }
}

/// The types that may occur.
pub(super) fn types(keywords: &Keywords) -> Vec<String> {
    named(keywords).unwrap_or_else(|| ALL.map(str::to_owned).to_vec())
}

/// Whether the type may occur.
pub(super) fn may_be(keywords: &Keywords, name: &str) -> bool {
    types(keywords).iter().any(|found| overlaps(found, name))
}

/// Whether two types have something in common.
pub(super) fn overlaps(one: &str, other: &str) -> bool {
    one == other || matches!((one, other), ("integer", "number") | ("number", "integer"))
}

/// Whether all of one type is of another.
pub(super) fn within(one: &str, other: &str) -> bool {
    one == other || (one, other) == ("integer", "number")
}

/// The only values there are, as far as a schema lists them.
pub(super) fn listed(keywords: &Keywords) -> Option<Vec<Value>> {
    if let Some(value) = keywords.get("const") {
        return Some(vec![value.clone()]);
    }
    match (keywords.get("enum"), keywords.get("type").and_then(Value::as_str)) {
        (Some(Value::Array(values)), _) => Some(values.clone()),
        (_, Some("null")) => Some(vec![Value::Null]),
        (_, Some("boolean")) => Some(vec![json!(true), json!(false)]),
        _ => None,
    }
}

/// Whether a value is of a type.
pub(super) fn is_of(value: &Value, name: &str) -> bool {
    within(of(value), name)
}

fn of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|n| n.fract() != 0.0) => {
            "number"
        }
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether two values are the same; `1` and `1.0` are.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one == other)
}

/// A list for people.
pub(super) fn list<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|it| it.to_string()).collect::<Vec<_>>().join(", ")
}
