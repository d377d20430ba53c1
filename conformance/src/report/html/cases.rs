//! The cases of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::escape::Text;
use super::super::words;
use crate::run::{CaseReport, CaseVerdict, RunReport};

pub(super) fn table(page: &mut String, run: &RunReport) {
    let mut counts = BTreeMap::<_, usize>::new();
    run.cases.iter().for_each(|case| *counts.entry(words(case.verdict.name())).or_default() += 1);
    let counts: Vec<_> = counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    let failed = run.cases.iter().any(|case| case.verdict == CaseVerdict::Failed);
    let open = if failed { " open" } else { "" };
    let _ = writeln!(page, "<details{open}><summary>Cases: {}</summary>", counts.join(", "));
    // What failed comes first.
    let (failed, others): (Vec<_>, Vec<_>) =
        run.cases.iter().partition(|case| case.verdict == CaseVerdict::Failed);
    let head = ["case", "verdict", "seconds", "what was seen, or why not"];
    super::table(page, "Cases", &head, failed.into_iter().chain(others).map(row));
    page.push_str("</details>\n");
}

fn row(case: &CaseReport) -> Vec<String> {
    let (class, sign) = match case.verdict {
        CaseVerdict::Holds => ("good", "✓ "),
        CaseVerdict::Failed => ("bad", "✗ "),
        CaseVerdict::NotPromised | CaseVerdict::NotApplicable | CaseVerdict::NotRun => ("none", ""),
    };
    vec![
        Text(&case.name).to_string(),
        format!(
            "<span class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span>{}</span>",
            words(case.verdict.name())
        ),
        format!("{:.1}", case.seconds),
        Text(&case.text).to_string(),
    ]
}
