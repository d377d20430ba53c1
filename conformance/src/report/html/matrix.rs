//! The matrix: a line for each configuration, a column for each property.

use std::fmt::Write as _;

use super::super::escape::Text;
use super::super::{Document, grouped, sign, words};
use super::verdict_class;
use crate::properties::Property;
use crate::run::{PropertyReport, PropertyVerdict, RunReport};

pub(super) fn section(page: &mut String, document: &Document) {
    page.push_str(
        "<section aria-labelledby=\"matrix\">\n<h2 id=\"matrix\">What was promised, and held</h2>\n\
         <p>The number is how often a promise could have been broken.</p>\n",
    );
    legend(page);
    let properties: Vec<_> = document.promised().collect();
    page.push_str(
        "<div class=\"scroll\" role=\"region\" aria-label=\"Configurations and properties\" tabindex=\"0\">\n\
         <table class=\"matrix\" role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">\
         <th role=\"columnheader\" scope=\"col\">configuration</th>",
    );
    for property in &properties {
        let words = property.words();
        let _ = write!(
            page,
            "<th role=\"columnheader\" scope=\"col\"><abbr title=\"{words}\">{property}</abbr></th>"
        );
    }
    page.push_str("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    document.runs.iter().enumerate().for_each(|(at, run)| row(page, at, run, &properties));
    page.push_str("</tbody>\n</table></div>\n");
    names(page, &properties);
    page.push_str("</section>\n");
}

fn row(page: &mut String, at: usize, run: &RunReport, properties: &[Property]) {
    let (name, verdict) = (Text(&run.configuration), words(run.verdict.name()));
    let class = verdict_class(run.verdict);
    let _ = write!(
        page,
        "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\"><a href=\"#run{at}\">{name}</a> \
         <span class=\"badge {class}\">{verdict}</span></th>"
    );
    for property in properties {
        cell(page, *property, run.properties.get(property));
    }
    page.push_str("</tr>\n");
}

fn cell(page: &mut String, property: Property, found: Option<&PropertyReport>) {
    let Some(found) = found else {
        let _ = write!(
            page,
            "<td role=\"cell\" class=\"absent\" data-p=\"{property}\"><span aria-hidden=\"true\">–</span>\
             <span class=\"sr\">not promised</span></td>"
        );
        return;
    };
    let (class, sign) = (class(found.verdict), sign(found.verdict));
    let (exact, verdict) = (grouped(found.opportunities), words(found.verdict.name()));
    let least = grouped(found.minimum);
    let _ = write!(
        page,
        "<td role=\"cell\" class=\"{class}\" data-p=\"{property}\" title=\"{property} {}: {verdict}, {exact} opportunities, \
         {least} at least\"><span class=\"sign\" aria-hidden=\"true\">{sign}</span><span class=\"sr\">{verdict} </span>",
        property.words()
    );
    if found.verdict != PropertyVerdict::NotApplicable {
        let _ = write!(page, " <span class=\"count\">{}</span>", short(found.opportunities));
    }
    page.push_str("</td>");
}

/// A number in at most four digits.
fn short(number: u64) -> String {
    match number {
        0..10_000 => grouped(number),
        10_000..1_000_000 => format!("{} k", number / 1_000),
        _ => format!("{:.1} M", number as f64 / 1e6),
    }
}

pub(super) fn class(verdict: PropertyVerdict) -> &'static str {
    match verdict {
        PropertyVerdict::Pass => "good",
        PropertyVerdict::Violation | PropertyVerdict::Stalled => "bad",
        PropertyVerdict::Inconclusive | PropertyVerdict::NotExercised => "open",
        PropertyVerdict::NotApplicable => "none",
    }
}

fn legend(page: &mut String) {
    page.push_str("<ul class=\"chips legend\">\n");
    for verdict in [
        PropertyVerdict::Pass,
        PropertyVerdict::Violation,
        PropertyVerdict::Stalled,
        PropertyVerdict::Inconclusive,
        PropertyVerdict::NotExercised,
        PropertyVerdict::NotApplicable,
    ] {
        let (class, sign, name) = (class(verdict), sign(verdict), words(verdict.name()));
        let _ = match sign {
            "n/a" => writeln!(page, "<li class=\"{class}\">n/a: {name}</li>"),
            _ => writeln!(page, "<li class=\"{class}\"><span class=\"sign\">{sign}</span> {name}</li>"),
        };
    }
    page.push_str("<li class=\"absent\">– not promised</li>\n</ul>\n");
}

/// What the short names stand for.
fn names(page: &mut String, properties: &[Property]) {
    page.push_str("<details><summary>The properties</summary>\n<dl class=\"names\">\n");
    for property in properties {
        let _ = writeln!(page, "<div><dt>{property}</dt><dd>{}</dd></div>", property.words());
    }
    page.push_str("</dl></details>\n");
}
