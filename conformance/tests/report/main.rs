//! The forms of a report. `ANYBROKER_WRITE_GOLDEN=1` writes the expected files anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod sample;

use std::path::PathBuf;

use anybroker_conformance::report::{Document, html, junit, markdown, terminal};
use sample::{HOSTILE, document};

fn golden(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/report/golden").join(name);
    if std::env::var_os("ANYBROKER_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is not what comes out now: see ANYBROKER_WRITE_GOLDEN", path.display());
}

#[test]
fn every_form_is_as_expected() {
    let everything = document(&["passing", "failing", "liars"]);
    golden("everything.txt", &terminal(&everything));
    golden("everything.xml", &junit(&everything));
    golden("everything.md", &markdown(&everything));
    golden("everything.html", &html(&everything));
    let passing = document(&["passing"]);
    golden("passing.txt", &terminal(&passing));
    golden("passing.md", &markdown(&passing));
}

#[test]
fn nothing_that_is_shown_is_read_as_markup() {
    let everything = document(&["passing", "failing", "liars"]);
    for form in [html(&everything), junit(&everything), markdown(&everything)] {
        assert!(!form.contains("<script") && !form.contains("</script") && !form.contains("<b>"));
    }
    for form in [html(&everything), junit(&everything), markdown(&everything), terminal(&everything)] {
        assert!(!form.chars().any(|c| c.is_control() && c != '\n'), "a control character stands in {form}");
    }
    assert!(HOSTILE.contains("<script>"));
}

/// Every element ends where it should; attributes are quoted.
fn well_formed(markup: &str) {
    const EMPTY: [&str; 2] = ["meta", "br"];
    let mut open = Vec::new();
    for (at, _) in markup.match_indices('<') {
        let tag = &markup[at + 1..at + markup[at..].find('>').expect("a tag ends")];
        let name = tag.split([' ', '\n']).next().unwrap().trim_end_matches('/');
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        match name.strip_prefix('/') {
            Some(ended) => assert_eq!(open.pop(), Some(ended), "</{ended}>"),
            None if tag.ends_with('/') || name.starts_with(['?', '!']) || EMPTY.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
}

#[test]
fn the_page_and_the_xml_are_well_formed() {
    for parts in [&["passing"][..], &["failing"], &["liars"], &["passing", "failing", "liars"], &[]] {
        well_formed(&html(&document(parts)));
        well_formed(&junit(&document(parts)));
    }
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = html(&document(&["passing", "failing", "liars"]));
    for reference in ["http:", "https:", "src=", "@import", "url(", "<link", "<script"] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[test]
fn reports_are_merged_and_what_is_none_is_refused() {
    let mut merged = document(&["passing", "failing", "passing"]);
    assert_eq!(merged.runs.len(), 2, "the later run of a configuration counts");
    assert!(!merged.holds() && document(&["passing"]).holds() && !document(&["liars"]).holds());
    merged.add(&serde_json::to_string(&document(&["liars"])).unwrap()).unwrap();
    assert_eq!((merged.runs.len(), merged.liars.as_ref().unwrap().liars), (2, 3));
    let written: Document = serde_json::from_str(&serde_json::to_string(&merged).unwrap()).unwrap();
    assert_eq!(written, merged);
    let future = serde_json::to_string(&document(&["passing"]).runs[0])
        .unwrap()
        .replace("conformance/1", "conformance/9");
    for bad in ["", "[]", "{}", "{\"liars\":1}", "{\"runs\":1}", &future] {
        merged.add(bad).unwrap_err();
    }
    assert_eq!(merged.runs.len(), 2);
}
