//! The table on a terminal.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use super::{Report, Row};
use crate::harness::Spread;
use crate::task::Operation;

impl Report {
    /// Tables for people: one for each operation and size.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut groups: Vec<_> = self.rows.iter().map(|row| (row.operation, row.size)).collect();
        groups.dedup();
        for (operation, size) in groups {
            let rows: Vec<_> =
                self.rows.iter().filter(|row| (row.operation, row.size) == (operation, size)).collect();
            let _ = writeln!(
                text,
                "{}: {}, {size} B\n{}\n",
                self.broker,
                operation.as_str(),
                table(operation, &rows)
            );
        }
        for row in &self.rows {
            if let Some(failure) = &row.failure {
                let what = row.operation.as_str();
                let _ = writeln!(text, "{what}, {} B: {} failed: {failure}", row.size, row.contender);
            }
        }
        let _ = writeln!(text, "same for all: {}", self.settings);
        let _ = writeln!(text, "{}: {}", self.date, self.machine.in_words());
        let _ = writeln!(
            text,
            "Medians, with the least and the most; ratios are to the best hand-written one of the same rounds."
        );
        text
    }
}

fn table(operation: Operation, rows: &[&Row]) -> Table {
    let mut table = styled();
    let latency = operation == Operation::Latency;
    let what = if latency { ["p50 ms", "p99 ms", "p99.9 ms"] } else { ["1000/s", "ratio", "MiB at most"] };
    let costs = ["client µs", "ratio", "allocations", "broker µs"];
    table.set_header(["contender"].into_iter().chain(what).chain(costs));
    for row in rows {
        let ratio = row.against_best.as_ref();
        let measured = if latency {
            [number(row.p50, 1e3, 2), number(row.p99, 1e3, 2), number(row.p999, 1e3, 2)]
        } else {
            let ratio = number(ratio.map(|it| it.throughput), 1.0, 2);
            [number(row.per_second, 1e3, 1), ratio, number(row.peak_bytes, 1048576.0, 0)]
        };
        let costs = [
            number(row.cpu, 1.0, 2),
            number(ratio.map(|it| it.cpu), 1.0, 2),
            number(row.allocations, 1.0, 2),
            row.broker_cpu.map_or_else(|| "not measured".to_owned(), |it| number(Some(it), 1.0, 2)),
        ];
        let name = row.contender.clone() + row.failure.as_ref().map_or("", |_| " (failed)");
        table.add_row([name].into_iter().chain(measured).chain(costs));
    }
    right(&mut table, 1);
    table
}

pub(super) fn styled() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table
}

/// Numbers are read from the right, all but in the first columns.
pub(super) fn right(table: &mut Table, but: usize) {
    for column in table.column_iter_mut().skip(but) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Every three digits apart.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

pub(super) fn number(value: Option<Spread>, unit: f64, digits: usize) -> String {
    let Some(Spread { median, least, most }) = value else { return "–".to_owned() };
    format!("{:.digits$} ({:.digits$}–{:.digits$})", median / unit, least / unit, most / unit)
}
