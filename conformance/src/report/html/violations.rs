//! Each violation: its sentence, its drawing, and what stands on its lines.

use std::fmt::Write as _;

use super::super::escape::Text;
use super::drawing::Drawing;
use crate::properties::Property;
use crate::run::{PropertyVerdict, RunReport, StepReport, ViolationReport};

pub(super) fn section(page: &mut String, runs: &[RunReport]) {
    let mut all = runs.iter().flat_map(|run| {
        let found = run.properties.iter();
        found.flat_map(move |(property, found)| {
            found.violations.iter().map(move |it| (run, *property, found.verdict, it))
        })
    });
    let Some(first) = all.next() else { return };
    page.push_str("<section aria-labelledby=\"violations\">\n<h2 id=\"violations\">What was broken</h2>\n");
    for (run, property, verdict, violation) in std::iter::once(first).chain(all) {
        one(page, run, property, verdict, violation);
    }
    page.push_str("</section>\n");
}

fn one(
    page: &mut String,
    run: &RunReport,
    property: Property,
    verdict: PropertyVerdict,
    violation: &ViolationReport,
) {
    let what = if verdict == PropertyVerdict::Stalled { "stalled" } else { "violated" };
    let (name, case, words) = (Text(&run.configuration), Text(&violation.case), property.words());
    let _ = writeln!(
        page,
        "<article class=\"violation\">\n<h3>{property} {words}, {what} on {name}</h3>\n\
         <p class=\"sentence\">{}</p>\n<p class=\"where\">Case {case}; seed {} begins the same run.</p>",
        Text(&violation.explanation),
        run.seed
    );
    if !violation.timeline.is_empty() {
        let drawing = Drawing::of(&violation.timeline);
        page.push_str("<div class=\"timeline\">\n");
        drawing.svg(page, &violation.explanation);
        steps(page, &drawing, &violation.timeline);
        page.push_str("</div>\n");
    }
    page.push_str("</article>\n");
}

/// What happened, step by step; the numbers are those of the drawing.
fn steps(page: &mut String, drawing: &Drawing<'_>, timeline: &[StepReport]) {
    let begin = timeline.iter().map(|step| step.time).min().unwrap_or(0);
    page.push_str("<ol class=\"steps\">\n");
    for step in timeline {
        let after = step.time.saturating_sub(begin) as f64 / 1e6;
        let message = drawing.letter(step).map_or(String::new(), |(class, letter)| {
            format!("<span class=\"message {class}\">{letter}</span> ")
        });
        let _ = writeln!(
            page,
            "<li>{message}<span>{}</span> <span class=\"when\">+{after:.3} ms, line {}</span></li>",
            Text(&step.text),
            step.line
        );
    }
    page.push_str("</ol>\n");
}
