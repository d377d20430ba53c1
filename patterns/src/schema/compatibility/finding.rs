//! What stands in the way of a reader.

use std::fmt;

use serde::Serialize;

/// What is wrong between a writer and a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Rule {
    /// A type is written that is not read.
    Type,
    /// A field is required, without a default, that is not written or may be left out.
    Required,
    /// A field is written, and unknown ones are refused.
    Refused,
    /// A value is written that the reader's enumeration has not got.
    Value,
    /// A variant is written that the reader has not got.
    Variant,
    /// The reader's bounds are narrower: of numbers, lengths, counts.
    Bounds,
    /// The reader wants a format or pattern that is not the writer's.
    Format,
    /// Nobody can tell from here.
    NotJudged,
}

impl Rule {
    /// The rule in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Type => "type",
            Rule::Required => "required",
            Rule::Refused => "refused",
            Rule::Value => "value",
            Rule::Variant => "variant",
            Rule::Bounds => "bounds",
            Rule::Format => "format",
            Rule::NotJudged => "not judged",
        }
    }
}

/// One thing that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub rule: Rule,
    /// JSON pointer into the payload; `*` stands for every item of an array, and every further field of an object.
    pub pointer: String,
    /// In plain words.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer} ({}): {}", self.rule.as_str(), self.reason)
    }
}
