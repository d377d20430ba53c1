//! Rows as text: the table of guarantees, and the refusal.

use std::fmt::Write;

use super::{Basis, Level, Row};

/// A row with its types taken away, for tables and JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct RowView<'a> {
    /// The row's name, written with `-`.
    pub name: String,
    /// The value's name.
    pub value: &'static str,
    /// How it is known.
    pub basis: Basis,
    /// The documentation that says so.
    pub source: &'static str,
    /// The conditions.
    pub because: &'a str,
    /// What would raise it.
    pub raise: Option<&'a str>,
}

impl<'a> RowView<'a> {
    pub(super) fn new<T: Level>(field: &str, row: &'a Row<T>) -> Self {
        RowView {
            name: field.replace('_', "-"),
            value: row.value.as_str(),
            basis: row.basis,
            source: row.source,
            because: &row.because,
            raise: row.raise.as_deref(),
        }
    }
}

/// A requirement that a backend does not satisfy.
#[derive(Clone, Debug, PartialEq)]
pub struct Unmet {
    /// The row's name, written with `-`.
    pub name: String,
    /// What the application needs.
    pub needed: &'static str,
    /// What the backend gives.
    pub given: &'static str,
    /// How that is known.
    pub basis: Basis,
    /// What would satisfy the requirement.
    pub raise: Option<String>,
    /// The documentation that says so.
    pub source: &'static str,
}

impl Unmet {
    pub(super) fn new<T: Level>(field: &str, needed: T, row: &Row<T>) -> Self {
        Unmet {
            name: field.replace('_', "-"),
            needed: needed.as_str(),
            given: row.value.as_str(),
            basis: row.basis,
            raise: row.raise.as_deref().map(str::to_owned),
            source: row.source,
        }
    }
}

pub(super) fn refusal(unmet: &[Unmet]) -> String {
    let mut text = String::from("the broker does not give what the application requires\n");
    let _ = writeln!(text, "  {:<28} {:<18} {:<18} basis", "guarantee", "needed", "given");
    for row in unmet {
        let _ =
            writeln!(text, "  {:<28} {:<18} {:<18} {}", row.name, row.needed, row.given, row.basis.as_str());
        let raise = row.raise.as_deref().unwrap_or("nothing on this broker; choose another, or require less");
        let _ = writeln!(text, "    to satisfy it: {raise}");
        let _ = writeln!(text, "    documented at: {}", row.source);
    }
    text.truncate(text.trim_end().len());
    text
}
