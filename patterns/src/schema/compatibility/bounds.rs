//! Bounds, formats and patterns.

use serde_json::Value;

use super::Rule;
use super::flat::Keywords;
use super::reading::Reading;
use super::values::{listed, may_be, types};

/// A bound of a size: keyword, whether it is a lower one, what type has it.
const SIZES: [(&str, bool, &str); 6] = [
    ("minLength", true, "string"),
    ("maxLength", false, "string"),
    ("minItems", true, "array"),
    ("maxItems", false, "array"),
    ("minProperties", true, "object"),
    ("maxProperties", false, "object"),
];

impl Reading<'_> {
    pub(super) fn bounds(&mut self, at: &str, reader: &Keywords, writer: &Keywords) {
        if may_be(writer, "number") {
            self.range(at, reader, writer);
            self.same_or_unjudged(at, "multipleOf", reader, writer);
        }
        for (name, lower, of) in SIZES.into_iter().filter(|(_, _, of)| may_be(writer, of)) {
            let Some(read) = reader.get(name).and_then(Value::as_f64) else { continue };
            let written = size(writer, name, lower);
            let fits = written.is_some_and(|written| if lower { written >= read } else { written <= read });
            let says_nothing = lower && read == 0.0;
            if !(fits || says_nothing) {
                let written = written.map_or("no such bound".to_owned(), |bound| bound.to_string());
                let reason = format!(
                    "{} wants `{name}` {read} of the {of}, {} has {written}",
                    self.reads(),
                    self.writes()
                );
                self.find(Rule::Bounds, at, reason);
            }
        }
        let unique = |keywords: &Keywords| keywords.get("uniqueItems") == Some(&Value::Bool(true));
        if unique(reader) && !unique(writer) && may_be(writer, "array") {
            let reason = format!("{} may write an item twice, {} refuses that", self.writes(), self.reads());
            self.find(Rule::Bounds, at, reason);
        }
    }

    fn range(&mut self, at: &str, reader: &Keywords, writer: &Keywords) {
        let (read, written) = (Range::of(reader), Range::of(writer));
        if read.unclear || written.unclear {
            return self.not_judged(at, "a bound is no number");
        }
        if !written.low.is_above(read.low) {
            let reason = format!(
                "{} may write numbers from {}, {} reads from {}",
                self.writes(),
                written.low,
                self.reads(),
                read.low
            );
            self.find(Rule::Bounds, at, reason);
        }
        if !written.high.is_below(read.high) {
            let reason = format!(
                "{} may write numbers up to {}, {} reads up to {}",
                self.writes(),
                written.high,
                self.reads(),
                read.high
            );
            self.find(Rule::Bounds, at, reason);
        }
    }

    pub(super) fn formats(&mut self, at: &str, reader: &Keywords, writer: &Keywords) {
        let text = |keywords: &Keywords| keywords.get("format").and_then(Value::as_str).map(str::to_owned);
        let (read, written) = (text(reader), text(writer));
        match (read, written) {
            (Some(read), written) if written.as_ref() != Some(&read) => {
                self.format(at, &read, written, writer)
            }
            _ => {}
        }
        if may_be(writer, "string") {
            match (reader.get("pattern"), writer.get("pattern")) {
                (Some(read), None) if listed(writer).is_none() => {
                    let reason =
                        format!("{} may write any text, {} reads only {read}", self.writes(), self.reads());
                    self.find(Rule::Format, at, reason);
                }
                _ => self.same_or_unjudged(at, "pattern", reader, writer),
            }
        }
    }

    fn format(&mut self, at: &str, read: &str, written: Option<String>, writer: &Keywords) {
        let numeric = types(writer).iter().all(|name| name == "integer" || name == "number");
        let found = written.as_deref().unwrap_or("none");
        let reason = format!("{} has the format {found}, {} wants {read}", self.writes(), self.reads());
        // The range of whole numbers has been looked at.
        if whole(read).is_some() || !(may_be(writer, "string") || numeric) {
            return;
        }
        let bits = written.as_deref().and_then(whole).map(|(low, high)| high.max(-low));
        match (read, bits) {
            ("double", None) if written.is_none() || found == "float" => {}
            ("double", Some(largest)) if largest <= 2f64.powi(53) => {}
            ("float", Some(largest)) if largest <= 2f64.powi(24) => {}
            ("double", Some(_)) => self.not_judged(at, format!("{reason}: large whole numbers lose digits")),
            _ if listed(writer).is_some() => self.not_judged(at, reason),
            _ => self.find(Rule::Format, at, reason),
        }
    }

    fn same_or_unjudged(&mut self, at: &str, name: &str, reader: &Keywords, writer: &Keywords) {
        let Some(read) = reader.get(name).filter(|value| writer.get(name) != Some(value)) else { return };
        self.not_judged(at, format!("{} wants `{name}` {read}, which is not compared", self.reads()));
    }
}

/// What is known of a size.
fn size(keywords: &Keywords, name: &str, lower: bool) -> Option<f64> {
    let of = |value: &Value| match value {
        Value::String(text) if name.ends_with("Length") => Some(text.chars().count() as f64),
        Value::Array(items) if name.ends_with("Items") => Some(items.len() as f64),
        Value::Object(map) if name.ends_with("Properties") => Some(map.len() as f64),
        _ => None,
    };
    let sizes: Option<Vec<f64>> = listed(keywords).map(|values| values.iter().filter_map(of).collect());
    let from_values =
        sizes.and_then(|sizes| sizes.into_iter().reduce(if lower { f64::min } else { f64::max }));
    from_values.or_else(|| keywords.get(name).and_then(Value::as_f64))
}

/// The range of a format of whole numbers.
fn whole(format: &str) -> Option<(f64, f64)> {
    let (signed, bits) = match format.strip_prefix("uint") {
        Some(bits) => (false, bits),
        None => (true, format.strip_prefix("int")?),
    };
    // Without a number: as wide as an address, which is 64 bits.
    let bits: i32 = if bits.is_empty() { 64 } else { bits.parse().ok()? };
    let (low, high) = if signed { (-(2f64.powi(bits - 1)), bits - 1) } else { (0.0, bits) };
    // 2^64 stands for 2^64 - 1: the difference is none in this type, and the same on both sides.
    Some((low, 2f64.powi(high) - 1.0))
}

/// The end of a range.
#[derive(Clone, Copy)]
struct End {
    value: f64,
    exclusive: bool,
}

impl End {
    fn is_above(self, other: End) -> bool {
        self.value > other.value
            || (self.value == other.value && (self.exclusive || !other.exclusive || self.value.is_infinite()))
    }

    fn is_below(self, other: End) -> bool {
        End { value: -self.value, ..self }.is_above(End { value: -other.value, ..other })
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.value.is_infinite(), self.exclusive) {
            (true, _) => f.write_str("anything"),
            (false, true) => write!(f, "{} (exclusive)", self.value),
            (false, false) => write!(f, "{}", self.value),
        }
    }
}

struct Range {
    low: End,
    high: End,
    unclear: bool,
}

impl Range {
    fn of(keywords: &Keywords) -> Self {
        let mut range = Range {
            low: End { value: f64::NEG_INFINITY, exclusive: false },
            high: End { value: f64::INFINITY, exclusive: false },
            unclear: false,
        };
        if let Some((low, high)) = keywords.get("format").and_then(Value::as_str).and_then(whole) {
            range.narrow(End { value: low, exclusive: false }, End { value: high, exclusive: false });
        }
        for (name, exclusive, lower) in [
            ("minimum", false, true),
            ("exclusiveMinimum", true, true),
            ("maximum", false, false),
            ("exclusiveMaximum", true, false),
        ] {
            let Some(value) = keywords.get(name) else { continue };
            match value.as_f64() {
                Some(value) if lower => range.narrow(End { value, exclusive }, range.high),
                Some(value) => range.narrow(range.low, End { value, exclusive }),
                None => range.unclear = true,
            }
        }
        let values = listed(keywords).unwrap_or_default();
        let numbers: Vec<_> = values.iter().filter_map(Value::as_f64).collect();
        if let (Some(low), Some(high)) =
            (numbers.iter().copied().reduce(f64::min), numbers.iter().copied().reduce(f64::max))
        {
            range.narrow(End { value: low, exclusive: false }, End { value: high, exclusive: false });
        }
        range
    }

    fn narrow(&mut self, low: End, high: End) {
        if low.is_above(self.low) {
            self.low = low;
        }
        if high.is_below(self.high) {
            self.high = high;
        }
    }
}
