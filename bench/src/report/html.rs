//! One page that needs nothing else: plots as inline SVG, and the figures.

use std::fmt::Write as _;

use super::{Report, Row};
use crate::contender::Kind;
use crate::harness::Spread;
use crate::task::Operation;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
    svg{width:100%;height:auto;font:12px system-ui,sans-serif}table{border-collapse:collapse;font-size:13px}\
    td,th{padding:.2em .6em;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}\
    .failed{color:#a00}";

/// Pixels of a plot: of a row, of the names, of the bars.
const ROW: f64 = 26.0;
const NAMES: f64 = 230.0;
const BARS: f64 = 560.0;

impl Report {
    /// The page.
    pub fn html(&self) -> String {
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>anybroker: {broker}</title>\
             <style>{STYLE}</style><h1>{broker}</h1><p>{date}; {processor}, {cores} cores, {system}</p>\
             <p>The same for all: {settings}.</p><p>Bars are medians of interleaved rounds, dots are the rounds. Only the \
             ratios within a plot mean anything.</p>",
            broker = escape(&self.broker),
            date = self.date,
            processor = escape(&self.machine.processor),
            cores = self.machine.cores,
            system = escape(&self.machine.system),
            settings = escape(&self.settings),
        );
        let mut groups: Vec<_> = self.rows.iter().map(|row| (row.operation, row.size)).collect();
        groups.dedup();
        for (operation, size) in groups {
            let rows: Vec<_> =
                self.rows.iter().filter(|row| (row.operation, row.size) == (operation, size)).collect();
            let _ = write!(page, "<h2>{}, {size} B</h2>", operation.as_str());
            if operation == Operation::Latency {
                plot(
                    &mut page,
                    "p50, ms",
                    &rows,
                    |row| (row.p50, rounds(row, |it| Some(it.latency?.p50))),
                    1e3,
                );
                plot(
                    &mut page,
                    "p99, ms",
                    &rows,
                    |row| (row.p99, rounds(row, |it| Some(it.latency?.p99))),
                    1e3,
                );
                plot(
                    &mut page,
                    "p99.9, ms",
                    &rows,
                    |row| (row.p999, rounds(row, |it| Some(it.latency?.p999))),
                    1e3,
                );
            } else {
                let speed = |row: &Row| (row.per_second, rounds(row, |it| Some(it.per_second())));
                plot(&mut page, "thousand messages a second", &rows, speed, 1e3);
            }
            let cpu = |row: &Row| (row.cpu, rounds(row, |it| Some(it.cpu_per_message())));
            plot(&mut page, "client CPU, µs a message", &rows, cpu, 1.0);
            table(&mut page, &rows);
        }
        page + "</html>\n"
    }
}

fn rounds(row: &Row, value: fn(&crate::harness::Figures) -> Option<f64>) -> Vec<f64> {
    row.rounds.iter().filter_map(value).collect()
}

fn plot(
    page: &mut String,
    title: &str,
    rows: &[&Row],
    value: impl Fn(&Row) -> (Option<Spread>, Vec<f64>),
    unit: f64,
) {
    let values: Vec<_> = rows.iter().map(|row| value(row)).collect();
    let most = values.iter().filter_map(|(spread, _)| Some(spread.as_ref()?.most)).fold(0.0, f64::max);
    let height = ROW * rows.len() as f64;
    let _ =
        write!(page, "<h3>{title}</h3><svg viewBox=\"0 0 {} {height}\" role=\"img\">", NAMES + BARS + 90.0);
    let x = |value: f64| NAMES + if most > 0.0 { value / most * BARS } else { 0.0 };
    for (index, (row, (spread, rounds))) in rows.iter().zip(&values).enumerate() {
        let top = index as f64 * ROW;
        let middle = top + ROW / 2.0;
        let name = escape(&row.contender);
        let _ = write!(
            page,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
            NAMES - 8.0,
            middle + 4.0
        );
        let Some(spread) = spread else { continue };
        let (width, color) = (x(spread.median) - NAMES, color(row.kind));
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

fn color(kind: Kind) -> &'static str {
    match kind {
        Kind::Ours => "#2a7de1",
        Kind::Raw => "#8a8a8a",
        Kind::Naive => "#d0d0d0",
        Kind::Peer => "#e0a030",
    }
}

fn table(page: &mut String, rows: &[&Row]) {
    page.push_str("<table><tr><th>contender<th>messages<th>ratio to the best by hand<th>CPU ratio<th>allocations<th>broker µs<th>MiB</tr>");
    for row in rows {
        let ratio = row.against_best.as_ref();
        let cell = |value: Option<Spread>, unit: f64| {
            value.map_or("–".to_owned(), |it| format!("{:.2}", it.median / unit))
        };
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
