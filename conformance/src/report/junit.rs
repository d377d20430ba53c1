//! A document as JUnit XML, which continuous integration reads: a suite for each configuration, in it a case for each
//! promised property and each case of the run.

use std::fmt::Write as _;

use super::date::moment;
use super::escape::Text;
use super::{Document, backend, words};
use crate::liars::{KillMatrix, Row, Verdict};
use crate::properties::Property;
use crate::run::{CaseReport, CaseVerdict, PropertyReport, PropertyVerdict, RunReport};

/// How a test case ended.
enum Ended {
    Passed(String),
    Failed { what: String, text: String },
    Skipped(String),
}

/// The XML.
pub fn junit(document: &Document) -> String {
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"anybroker conform\">\n");
    document.runs.iter().for_each(|run| suite(&mut xml, run));
    if let Some(liars) = &document.liars {
        let rows: Vec<_> = liars.matrix.iter().map(|row| (row.name.clone(), 0.0, caught(row))).collect();
        let honest = liars.controls.iter().map(|name| (name.clone(), 0.0, believed(liars, name)));
        let tests: Vec<_> =
            rows.into_iter().chain(honest).map(|(name, s, e)| ("liars".to_owned(), name, s, e)).collect();
        element(&mut xml, "liars", "", &[], &tests);
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Class name, name, seconds, end.
type Test = (String, String, f64, Ended);

fn suite(xml: &mut String, run: &RunReport) {
    let name = &run.configuration;
    let property = |(property, found): (&Property, &PropertyReport)| {
        let name_of = format!("{property} {}", property.words());
        (format!("{name}.properties"), name_of, 0.0, of_property(found))
    };
    let case = |case: &CaseReport| (format!("{name}.cases"), case.name.clone(), case.seconds, of_case(case));
    let mut tests: Vec<Test> =
        run.properties.iter().map(property).chain(run.cases.iter().map(case)).collect();
    let unmet = match run.unmet.is_empty() {
        true => {
            Ended::Passed("every promise was exercised, and every fault found messages in flight".to_owned())
        }
        false => Ended::Failed { what: "not exercised".to_owned(), text: run.unmet.join("\n") },
    };
    tests.push((name.clone(), "evidence".to_owned(), 0.0, unmet));
    let properties = [
        ("backend", backend(run)),
        ("url", run.url.clone()),
        ("seed", run.seed.to_string()),
        ("faults", run.faults_allowed.clone()),
        ("verdict", run.verdict.name().to_owned()),
    ];
    element(xml, name, &moment(run.began), &properties, &tests);
}

fn of_property(found: &PropertyReport) -> Ended {
    let evidence = format!("{} opportunities in {}", found.opportunities, found.cases.join(", "));
    let reason = || found.reason.clone().unwrap_or_default();
    let text = match found.verdict {
        PropertyVerdict::Pass => return Ended::Passed(evidence),
        PropertyVerdict::NotApplicable => return Ended::Skipped(reason()),
        PropertyVerdict::NotExercised => {
            format!("{} opportunities, and {} is the least", found.opportunities, found.minimum)
        }
        PropertyVerdict::Inconclusive => reason(),
        PropertyVerdict::Violation | PropertyVerdict::Stalled => violations(found),
    };
    Ended::Failed { what: words(found.verdict.name()), text }
}

fn violations(found: &PropertyReport) -> String {
    let mut text = String::new();
    for violation in &found.violations {
        let _ = writeln!(text, "{}: {}", violation.case, violation.explanation);
        for step in &violation.timeline {
            let _ = writeln!(text, "  line {} {:.6} s {}", step.line, step.time as f64 / 1e9, step.text);
        }
    }
    text
}

fn of_case(case: &CaseReport) -> Ended {
    match case.verdict {
        CaseVerdict::Holds => Ended::Passed(case.text.clone()),
        CaseVerdict::Failed => {
            Ended::Failed { what: "failed".to_owned(), text: format!("seed {}: {}", case.seed, case.text) }
        }
        verdict => Ended::Skipped(format!("{}: {}", words(verdict.name()), case.text)),
    }
}

fn caught(row: &Row) -> Ended {
    let text = format!("{}; root {}, reported {}", row.about, row.root, row.reported.join(", "));
    match row.verdict {
        Verdict::Named => Ended::Passed(text),
        verdict => Ended::Failed { what: verdict.name().to_owned(), text },
    }
}

fn believed(liars: &KillMatrix, name: &String) -> Ended {
    match liars.falsely_accused.contains(name) {
        true => Ended::Failed { what: "falsely accused".to_owned(), text: "it breaks no promise".to_owned() },
        false => Ended::Passed("an honest broker, accused of nothing".to_owned()),
    }
}

fn element(xml: &mut String, name: &str, began: &str, properties: &[(&str, String)], tests: &[Test]) {
    let count = |of: fn(&Ended) -> bool| tests.iter().filter(|(.., ended)| of(ended)).count();
    let failures = count(|ended| matches!(ended, Ended::Failed { .. }));
    let skipped = count(|ended| matches!(ended, Ended::Skipped(_)));
    let seconds: f64 = tests.iter().map(|(_, _, seconds, _)| seconds).sum();
    let began = if began.is_empty() { String::new() } else { format!(" timestamp=\"{}\"", Text(began)) };
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" \
         time=\"{seconds:.3}\"{began}>",
        Text(name),
        tests.len(),
    );
    if !properties.is_empty() {
        xml.push_str("    <properties>\n");
        for (name, value) in properties {
            let _ = writeln!(xml, "      <property name=\"{name}\" value=\"{}\"/>", Text(value));
        }
        xml.push_str("    </properties>\n");
    }
    tests.iter().for_each(|test| case(xml, test));
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, (class, name, seconds, ended): &Test) {
    let (class, name) = (Text(class), Text(name));
    let _ = writeln!(xml, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\">");
    let _ = match ended {
        Ended::Passed(text) => writeln!(xml, "      <system-out>{}</system-out>", Text(text)),
        Ended::Skipped(why) => writeln!(xml, "      <skipped message=\"{}\"/>", Text(why)),
        Ended::Failed { what, text } => {
            writeln!(xml, "      <failure message=\"{}\">{}</failure>", Text(what), Text(text))
        }
    };
    xml.push_str("    </testcase>\n");
}
