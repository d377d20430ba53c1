//! The kill matrix: brokers that are broken on purpose, and what was reported of each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::escape::Text;
use super::table;
use crate::liars::{KillMatrix, Row, Verdict};

pub(super) fn section(page: &mut String, liars: &KillMatrix) {
    let class = if liars.holds() { "good" } else { "bad" };
    let (named, of) = (liars.named, liars.liars);
    let _ = writeln!(
        page,
        "<section aria-labelledby=\"liars\">\n<h2 id=\"liars\">Suite of liars \
         <span class=\"badge {class}\">{named} of {of} named</span></h2>\n\
         <p>Brokers that are broken on purpose, each in one way. One is named if the property that it breaks is reported, and \
         nothing that does not follow from it. {} honest brokers ran beside them; {} were accused.</p>",
        liars.controls.len(),
        liars.falsely_accused.len()
    );
    for (what, names) in [
        ("Missed", &liars.missed),
        ("Misnamed", &liars.misnamed),
        ("Falsely accused", &liars.falsely_accused),
    ] {
        if !names.is_empty() {
            let _ = writeln!(page, "<p><strong>{what}:</strong> {}</p>", Text(&names.join(", ")));
        }
    }
    roots(page, &liars.matrix);
    page.push_str("<details open><summary>Each liar</summary>\n");
    let head = ["liar", "end", "root", "reported", "may follow", "the lie"];
    table(page, "Liars", &head, liars.matrix.iter().map(row));
    page.push_str("</details>\n</section>\n");
}

/// How many of each root were named.
fn roots(page: &mut String, rows: &[Row]) {
    let mut counts = BTreeMap::<_, (usize, usize)>::new();
    for row in rows {
        let (named, of) = counts.entry(order(&row.root)).or_default();
        *named += usize::from(row.verdict == Verdict::Named);
        *of += 1;
    }
    page.push_str("<ul class=\"chips\" aria-label=\"Named of each root\">\n");
    for ((_, root), (named, of)) in counts {
        let class = if named == of { "good" } else { "bad" };
        let _ = writeln!(page, "<li class=\"{class}\">{} {named}/{of}</li>", Text(root));
    }
    page.push_str("</ul>\n");
}

/// P2 comes before P10; cases come after properties.
fn order(root: &str) -> ((usize, usize), &str) {
    let digits: String = root.chars().skip(1).take_while(char::is_ascii_digit).collect();
    ((digits.parse().unwrap_or(usize::MAX), root.len()), root)
}

fn row(row: &Row) -> Vec<String> {
    let (class, sign) = if row.verdict == Verdict::Named { ("good", "✓") } else { ("bad", "✗") };
    vec![
        Text(&row.name).to_string(),
        format!(
            "<span class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> {}</span>",
            row.verdict.name()
        ),
        Text(&row.root).to_string(),
        Text(&row.reported.join(", ")).to_string(),
        Text(&row.consequences.join(", ")).to_string(),
        Text(&row.about).to_string(),
    ]
}
