//! The evidence of a run: its properties, its faults, and what it promised.

use std::fmt::Write as _;

use super::super::escape::Text;
use super::super::{grouped, sign, words};
use super::matrix::class;
use super::table;
use crate::run::{FaultReport, IN_FLIGHT, PropertyReport, RunReport};

pub(super) fn properties(page: &mut String, run: &RunReport) {
    let _ = writeln!(page, "<details><summary>Properties: {}</summary>", run.properties.len());
    let rows = run.properties.iter().map(|(property, found)| {
        vec![
            format!("{property} {}", property.words()),
            verdict(found),
            grouped(found.opportunities),
            grouped(found.minimum),
            Text(&found.cases.join(", ")).to_string(),
            Text(found.reason.as_deref().unwrap_or_default()).to_string(),
        ]
    });
    let head = ["property", "verdict", "opportunities", "least", "cases", "why"];
    table(page, "Properties", &head, rows);
    page.push_str("</details>\n");
}

fn verdict(found: &PropertyReport) -> String {
    let (class, sign, name) = (class(found.verdict), sign(found.verdict), words(found.verdict.name()));
    format!("<span class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> {name}</span>")
}

/// Faults with what they found in flight, as bars.
pub(super) fn faults(page: &mut String, run: &RunReport) {
    let breaking: Vec<_> = run.fault_list.iter().filter(|fault| fault.breaks()).collect();
    let found = breaking.iter().filter(|fault| fault.in_flight >= IN_FLIGHT).count();
    let kinds: Vec<_> = run.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
    let _ = writeln!(
        page,
        "<details{}><summary>Faults: {}</summary>",
        if found < breaking.len() { " open" } else { "" },
        Text(&kinds)
    );
    if !breaking.is_empty() {
        let _ = writeln!(
            page,
            "<p>{found} of {} that break something found at least {IN_FLIGHT} messages in flight.</p>",
            breaking.len()
        );
        let most = breaking.iter().map(|fault| fault.in_flight).max().unwrap_or(0).max(1);
        let rows = breaking.iter().map(|fault| {
            vec![Text(&fault.kind).to_string(), Text(&fault.case).to_string(), bar(fault, most)]
        });
        table(page, "Faults", &["fault", "case", "messages in flight"], rows);
    }
    page.push_str("</details>\n");
}

fn bar(fault: &FaultReport, most: u64) -> String {
    let enough = fault.in_flight >= IN_FLIGHT;
    let class = if enough { "good" } else { "open" };
    let few = if enough { "" } else { " (too few)" };
    let width = fault.in_flight.saturating_mul(100) / most;
    format!(
        "<span class=\"bar {class}\" style=\"--part:{width}%\" aria-hidden=\"true\"></span> {}{few}",
        grouped(fault.in_flight)
    )
}

pub(super) fn guarantees(page: &mut String, run: &RunReport) {
    if run.guarantees.is_empty() {
        return;
    }
    page.push_str("<details><summary>What it promises</summary>\n");
    let rows = run
        .guarantees
        .iter()
        .map(|row| [&row.name, &row.value, &row.basis].map(|text| Text(text).to_string()).to_vec());
    table(page, "Guarantees", &["guarantee", "value", "basis"], rows);
    page.push_str("</details>\n");
}
