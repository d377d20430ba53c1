//! Fields of JSON lines that become keys and ids.

use serde_json::Value;

/// A field by its name, or a field of a field by a path with dots.
#[derive(Debug)]
pub(super) struct Field(String);

impl Field {
    pub(super) fn new(path: &str) -> Self {
        Field(path.to_owned())
    }

    /// The field's text.
    pub(super) fn text(&self, line: &Value) -> Result<String, String> {
        let Field(path) = self;
        let value = line.get(path).or_else(|| path.split('.').try_fold(line, |value, name| value.get(name)));
        text(value.ok_or_else(|| format!("it has no field `{path}`"))?).ok_or_else(|| {
            format!("its field `{path}` is neither a string nor a whole number of at most 64 bits")
        })
    }
}

/// A string, or a whole number as its digits. Other numbers have more than one spelling, and an id that is rounded
/// would name another message.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(path: &str, line: &str) -> Result<String, String> {
        Field::new(path).text(&serde_json::from_str(line).unwrap())
    }

    #[test]
    fn a_field_is_found_by_name_or_path() {
        assert_eq!(text_of("a", r#"{"a":"x"}"#).unwrap(), "x");
        assert_eq!(text_of("a.b", r#"{"a":{"b":-3}}"#).unwrap(), "-3");
        assert_eq!(text_of("a.b", r#"{"a.b":"whole","a":{"b":"part"}}"#).unwrap(), "whole");
    }

    #[test]
    fn what_is_no_exact_text_is_refused() {
        for line in
            [r#"{"a":null}"#, r#"{"a":1.5}"#, r#"{"a":123456789012345678901}"#, r#"{"a":{}}"#, "{}", "[]"]
        {
            assert!(text_of("a", line).is_err(), "{line}");
        }
    }
}
