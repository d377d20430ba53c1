//! A document as one HTML page that loads nothing: no script, no font, no picture from elsewhere.

mod cases;
mod drawing;
mod evidence;
mod kills;
mod matrix;
mod violations;

use std::fmt::Write as _;

use super::escape::Text;
use super::{Document, backend, date, grouped, words};
use crate::run::{RunReport, RunVerdict};

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn html(document: &Document) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Conformance: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        Text(&summary(document))
    );
    head(&mut page, document);
    page.push_str("<main>\n");
    if !document.runs.is_empty() {
        matrix::section(&mut page, document);
    }
    violations::section(&mut page, &document.runs);
    document.runs.iter().enumerate().for_each(|(at, run)| configuration(&mut page, at, run));
    if let Some(liars) = &document.liars {
        kills::section(&mut page, liars);
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// What the whole document says, in a sentence.
fn summary(document: &Document) -> String {
    let run: Vec<_> = document.runs.iter().filter(|run| run.verdict != RunVerdict::NotRun).collect();
    let passed = run.iter().filter(|run| run.verdict == RunVerdict::Pass).count();
    let runs = match (run.len(), passed) {
        (0, _) => None,
        (1, 1) => Some("every promise was exercised and held".to_owned()),
        (1, _) => Some(words(run[0].verdict.name())),
        (of, passed) => Some(format!("{passed} of {of} configurations keep every promise")),
    };
    let liars = document.liars.as_ref().map(|it| format!("{} of {} liars named", it.named, it.liars));
    let parts: Vec<_> = [runs, liars].into_iter().flatten().collect();
    if parts.is_empty() { "nothing was run".to_owned() } else { parts.join("; ") }
}

fn head(page: &mut String, document: &Document) {
    let class = if document.holds() { "good" } else { "bad" };
    let days = document.runs.iter().map(|run| run.began);
    let days = match (days.clone().min(), days.max()) {
        (Some(first), Some(last)) if date::day(first) == date::day(last) => date::day(first),
        (Some(first), Some(last)) => format!("{} to {}", date::day(first), date::day(last)),
        _ => String::new(),
    };
    let _ = write!(
        page,
        "<header>\n<p class=\"kind\">anybroker conformance report</p>\n<h1 class=\"{class}\">{}</h1>\n<p>{days}</p>\n",
        Text(&capital(&summary(document)))
    );
    if document.runs.len() > 1 {
        page.push_str("<nav aria-label=\"Configurations\"><ul class=\"chips\">\n");
        for (at, run) in document.runs.iter().enumerate() {
            let _ = writeln!(page, "<li><a href=\"#run{at}\">{}</a></li>", Text(&run.configuration));
        }
        page.push_str("</ul></nav>\n");
    }
    page.push_str("</header>\n");
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or(String::new(), |first| first.to_uppercase().chain(rest).collect())
}

/// What one configuration was put through, and what it showed.
fn configuration(page: &mut String, at: usize, run: &RunReport) {
    let (name, verdict) = (Text(&run.configuration), words(run.verdict.name()));
    let class = verdict_class(run.verdict);
    let _ = writeln!(
        page,
        "<section id=\"run{at}\" aria-labelledby=\"run{at}-head\">\n\
         <h2 id=\"run{at}-head\">{name} <span class=\"badge {class}\">{verdict}</span></h2>"
    );
    facts(page, run);
    if !run.unmet.is_empty() {
        page.push_str("<h3>Not proved</h3>\n<ul>\n");
        run.unmet.iter().for_each(|unmet| _ = writeln!(page, "<li>{}</li>", Text(unmet)));
        page.push_str("</ul>\n");
    }
    evidence::properties(page, run);
    evidence::faults(page, run);
    cases::table(page, run);
    evidence::guarantees(page, run);
    page.push_str("</section>\n");
}

fn facts(page: &mut String, run: &RunReport) {
    let seconds: f64 = run.cases.iter().map(|case| case.seconds).sum();
    let facts = [
        ("backend", backend(run)),
        ("address", run.url.clone()),
        ("began", date::moment(run.began)),
        ("time in cases", format!("{seconds:.0} s")),
        ("seed", run.seed.to_string()),
        ("faults allowed", run.faults_allowed.clone()),
        ("published", grouped(run.published)),
        ("outcome unknown", grouped(run.unknown_publishes)),
        ("delivered", grouped(run.delivered)),
        ("redeliveries", grouped(run.redeliveries)),
    ];
    page.push_str("<dl class=\"facts\">\n");
    for (name, value) in facts {
        let _ = writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", Text(&value));
    }
    page.push_str("</dl>\n");
}

fn verdict_class(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Pass => "good",
        RunVerdict::Violation | RunVerdict::Stalled | RunVerdict::Failed => "bad",
        RunVerdict::Inconclusive | RunVerdict::NotExercised => "open",
        RunVerdict::NotRun => "none",
    }
}

/// A table that scrolls for itself where it is wider than the page; on a narrow one its cells stand below each other,
/// each with its head. The roles are said because the style would take them away.
fn table(page: &mut String, label: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = write!(
        page,
        "<div class=\"scroll\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\"><table class=\"list\" role=\"table\">\n\
         <thead role=\"rowgroup\"><tr role=\"row\">"
    );
    head.iter().for_each(|head| _ = write!(page, "<th role=\"columnheader\" scope=\"col\">{head}</th>"));
    page.push_str("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    for row in rows {
        page.push_str("<tr role=\"row\">");
        for (at, (cell, head)) in row.iter().zip(head).enumerate() {
            let empty = if cell.is_empty() { " class=\"empty\"" } else { "" };
            let _ = match at {
                0 => write!(page, "<th role=\"rowheader\" scope=\"row\">{cell}</th>"),
                _ => write!(page, "<td role=\"cell\" data-p=\"{head}\"{empty}>{cell}</td>"),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}
