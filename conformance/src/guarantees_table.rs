//! Guarantees as Markdown: the README's table and `docs/guarantees.md` are made here, never written by hand.

use std::fmt::Write;

use anybroker_core::{Guarantees, Limits};

/// A configuration of a backend, and what it promises.
#[derive(Clone, Debug)]
pub struct Column {
    /// The column's head, for example "Kafka".
    pub name: String,
    /// The URL that was asked, with placeholders for hosts.
    pub url: String,
    /// What was answered.
    pub guarantees: Guarantees,
}

/// The values side by side, one row a guarantee.
pub fn overview(columns: &[Column]) -> String {
    let mut text = String::from("| guarantee |");
    columns.iter().for_each(|column| _ = write!(text, " {} |", column.name));
    text.push_str("\n|---|");
    columns.iter().for_each(|_| text.push_str("---|"));
    text.push('\n');
    let rows: Vec<_> = columns.iter().map(|column| column.guarantees.rows()).collect();
    for at in 0..rows.first().map_or(0, Vec::len) {
        let _ = write!(text, "| {} |", rows[0][at].name.replace('-', " "));
        rows.iter().for_each(|rows| _ = write!(text, " {} |", rows[at].value));
        text.push('\n');
    }
    text
}

/// Everything: each configuration with the basis, conditions and source of each row.
pub fn detail(columns: &[Column]) -> String {
    let mut text = String::from(INTRODUCTION);
    text.push_str(&overview(columns));
    for column in columns {
        let version = column.guarantees.version.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
        let _ = write!(
            text,
            "\n## {}\n\n`{}`, asked of {}{version}.\n\n",
            column.name, column.url, column.guarantees.backend
        );
        text.push_str("| guarantee | value | basis | conditions | to get more |\n|---|---|---|---|---|\n");
        for row in column.guarantees.rows() {
            let raise = row.raise.unwrap_or("");
            let value = format!("[{}]({})", row.value, row.source);
            let _ = writeln!(
                text,
                "| {} | {value} | {} | {} | {raise} |",
                row.name,
                row.basis.as_str(),
                row.because
            );
        }
        let _ = write!(text, "\n{}\n", limits(&column.guarantees.limits));
    }
    text
}

const INTRODUCTION: &str = "# Guarantees

Generated from the running brokers by `cargo xtask docs`; `cargo xtask test` fails if it is out of date. *Basis* says how a
row is known: probed (asked of the server), declared (declaring it again with equal arguments succeeded), client (the
adapter does it), documented (the broker documents it for this version), stated (the user said so), unknown (nobody
knows: it satisfies no requirement).

";

fn limits(limits: &Limits) -> String {
    let bytes = limits.message_bytes.map_or("unknown".to_owned(), |n| format!("{n} bytes"));
    let batch = limits.batch.map_or("any".to_owned(), |n| n.to_string());
    let in_flight = limits.in_flight.map_or("as the prefetch says".to_owned(), |n| n.to_string());
    format!(
        "Largest message: {bytes}. Messages in a batch: {batch}. Unsettled deliveries of a consumer: {in_flight}."
    )
}
