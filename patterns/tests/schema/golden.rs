//! Golden payloads.

use anybroker_patterns::schema::{Directory, GoldenError, Schema, Upcasters};
use serde_json::json;

use super::{OrderPlaced, order, upcasters};

fn place(stored: &[(&str, &str)]) -> (Directory, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    for (file, text) in stored {
        let path = place.path().join("order.placed").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    (Directory::new(place.path()), place)
}

/// The reasons why what is stored does not hold.
fn reasons(stored: &[(&str, &str)], upcasters: &Upcasters) -> Vec<String> {
    let (registry, _place) = place(stored);
    match registry.golden::<OrderPlaced>(upcasters, &[]).unwrap_err() {
        GoldenError::Unreadable { unreadable, .. } => unreadable.into_iter().map(|it| it.reason).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn samples_are_written_once_and_old_ones_are_read_through_the_upcasters() {
    let (registry, _place) =
        place(&[("1.golden/usual.json", r#"{"euros":2}"#), ("2.golden/usual.json", r#"{"cents":2}"#)]);
    let first = registry.golden(&upcasters(), &[("usual", order(2)), ("free", order(0))]).unwrap();
    assert_eq!((first.written.len(), first.read), (2, 4));
    assert!(first.written[0].ends_with("order.placed/3.golden/usual.json"));
    let second = registry.golden(&upcasters(), &[("usual", order(2))]).unwrap();
    assert_eq!((second.written.len(), second.read), (0, 4));
}

#[test]
fn a_payload_that_changes_without_a_new_version_is_found() {
    let (registry, _place) = place(&[]);
    registry.golden(&upcasters(), &[("usual", order(2))]).unwrap();
    let error = registry.golden(&upcasters(), &[("usual", order(3))]).unwrap_err().to_string();
    assert!(error.contains("/cents") && error.contains("new version"), "{error}");
}

#[test]
fn what_is_not_read_is_found_all_at_once() {
    let old = [
        ("1.golden/a.json", r#"{"euros":2}"#),
        ("1.golden/b.json", r#"{"dollars":2}"#),
        ("2.golden/a.json", r#"{"cents":"2"}"#),
        ("4.golden/a.json", r#"{}"#),
    ];
    let found = reasons(&old, &upcasters());
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].contains("no euros") && found[1].contains("invalid type"), "{found:?}");
    assert!(found[2].contains("newer than this program"), "{found:?}");
    // An upcaster that is missing, and one that leads past the program.
    let found = reasons(&old[..1], &Upcasters::new());
    assert!(found[0].contains("make version 1 of it, and the program reads 3"), "{found:?}");
    let beyond = upcasters().step("order.placed", 3, 4, Ok).unwrap();
    assert!(reasons(&old[..1], &beyond)[0].contains("make version 4"), "beyond");
}

#[test]
fn a_version_with_a_schema_and_no_payload_proves_nothing() {
    let (registry, _place) = place(&[]);
    registry.register(&Schema::new("order.placed", 1, json!({}))).unwrap();
    let error = registry.golden(&upcasters(), &[("usual", order(2))]).unwrap_err().to_string();
    assert!(error.contains("1.golden") && error.contains("nothing is proved"), "{error}");
}
