//! One page that needs nothing else: plots as inline SVG, and the figures.

use std::fmt::Write as _;

use super::machine::Machine;
use super::{Report, Row};
use crate::contender::Kind;
use crate::harness::{Figures, Spread};
use crate::task::Operation;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
    svg{width:100%;height:auto;font:12px system-ui,sans-serif}table{border-collapse:collapse;font-size:13px}\
    td,th{padding:.2em .6em;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}\
    .failed{color:#a00}";

/// Pixels of a plot: of a row, of the names, of the bars.
const ROW: f64 = 26.0;
const NAMES: f64 = 230.0;
const BARS: f64 = 560.0;

/// The beginning of a page.
pub(super) fn head(title: &str, date: &str, machine: &Machine) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>anybroker: {title}</title>\
         <style>{STYLE}</style><h1>{title}</h1><p>{date}; {}</p>",
        escape(&machine.in_words())
    )
}

impl Report {
    /// The page.
    pub fn html(&self) -> String {
        let mut page = head(&self.broker, &self.date, &self.machine);
        let _ = write!(
            page,
            "<p>The same for all: {}.</p><p>Bars are medians of interleaved rounds, dots are the rounds. Only the \
             ratios within a plot mean anything.</p>",
            escape(&self.settings),
        );
        let mut groups: Vec<_> = self.rows.iter().map(|row| (row.operation, row.size)).collect();
        groups.dedup();
        for (operation, size) in groups {
            let rows: Vec<_> =
                self.rows.iter().filter(|row| (row.operation, row.size) == (operation, size)).collect();
            let _ = write!(page, "<h2>{}, {size} B</h2>", operation.as_str());
            let bars = |value: fn(&Row) -> Option<Spread>, round: fn(&Figures) -> Option<f64>| {
                rows.iter().map(|row| bar(row, value, round)).collect::<Vec<_>>()
            };
            if operation == Operation::Latency {
                plot(&mut page, "p50, ms", &bars(|row| row.p50, |it| Some(it.latency?.p50)), 1e3);
                plot(&mut page, "p99, ms", &bars(|row| row.p99, |it| Some(it.latency?.p99)), 1e3);
                plot(&mut page, "p99.9, ms", &bars(|row| row.p999, |it| Some(it.latency?.p999)), 1e3);
            } else {
                let speed = bars(|row| row.per_second, |it| Some(it.per_second()));
                plot(&mut page, "thousand messages a second", &speed, 1e3);
            }
            let cpu = bars(|row| row.cpu, |it| Some(it.cpu_per_message()));
            plot(&mut page, "client CPU, µs a message", &cpu, 1.0);
            table(&mut page, &rows);
        }
        page + "</html>\n"
    }
}

/// A bar of a plot, with a dot for each round.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) color: &'static str,
    pub(super) spread: Option<Spread>,
    pub(super) rounds: Vec<f64>,
}

fn bar(row: &Row, value: fn(&Row) -> Option<Spread>, round: fn(&Figures) -> Option<f64>) -> Bar {
    Bar {
        name: row.contender.clone(),
        color: color(row.kind),
        spread: value(row),
        rounds: row.rounds.iter().filter_map(round).collect(),
    }
}

pub(super) fn plot(page: &mut String, title: &str, bars: &[Bar], unit: f64) {
    let most = bars.iter().filter_map(|bar| Some(bar.spread.as_ref()?.most)).fold(0.0, f64::max);
    let height = ROW * bars.len() as f64;
    let _ =
        write!(page, "<h3>{title}</h3><svg viewBox=\"0 0 {} {height}\" role=\"img\">", NAMES + BARS + 90.0);
    let x = |value: f64| NAMES + if most > 0.0 { value / most * BARS } else { 0.0 };
    for (index, Bar { name, color, spread, rounds }) in bars.iter().enumerate() {
        let top = index as f64 * ROW;
        let middle = top + ROW / 2.0;
        let name = escape(name);
        let _ = write!(
            page,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
            NAMES - 8.0,
            middle + 4.0
        );
        let Some(spread) = spread else { continue };
        let width = x(spread.median) - NAMES;
        let _ = write!(
            page,
            "<rect x=\"{NAMES}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\" fill=\"{color}\"/>",
            top + 4.0,
            ROW - 8.0
        );
        for round in rounds {
            let _ = write!(
                page,
                "<circle cx=\"{:.1}\" cy=\"{middle}\" r=\"2.5\" fill=\"#000\" opacity=\".5\"/>",
                x(*round)
            );
        }
        let _ = write!(
            page,
            "<text x=\"{:.1}\" y=\"{}\">{:.2}</text>",
            x(spread.most) + 8.0,
            middle + 4.0,
            spread.median / unit
        );
    }
    page.push_str("</svg>");
}

pub(super) const OURS: &str = "#2a7de1";

fn color(kind: Kind) -> &'static str {
    match kind {
        Kind::Ours => OURS,
        Kind::Raw => "#8a8a8a",
        Kind::Equal => "#4a4a4a",
        Kind::Naive => "#d0d0d0",
        Kind::Peer => "#e0a030",
    }
}

fn table(page: &mut String, rows: &[&Row]) {
    page.push_str("<table><tr><th>contender<th>messages<th>ratio to the best by hand<th>CPU ratio<th>allocations<th>broker µs<th>MiB</tr>");
    for row in rows {
        let ratio = row.against_best.as_ref();
        let _ = write!(
            page,
            "<tr title=\"{}\"><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escape(&row.way),
            escape(&row.contender),
            row.messages,
            cell(ratio.map(|it| it.p99.unwrap_or(it.throughput)), 1.0),
            cell(ratio.map(|it| it.cpu), 1.0),
            cell(row.allocations, 1.0),
            cell(row.broker_cpu, 1.0),
            cell(row.peak_bytes, 1048576.0),
        );
        let failed = row.failure.iter();
        failed.for_each(|it| {
            let _ = write!(
                page,
                "<tr><td class=\"failed\" colspan=\"7\">{}: {}</tr>",
                escape(&row.contender),
                escape(it)
            );
        });
    }
    page.push_str("</table><dl>");
    for row in rows {
        let _ = write!(page, "<dt>{}<dd>{}", escape(&row.contender), escape(&row.way));
    }
    page.push_str("</dl>");
}

pub(super) fn cell(value: Option<Spread>, unit: f64) -> String {
    value.map_or("–".to_owned(), |it| format!("{:.2}", it.median / unit))
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
