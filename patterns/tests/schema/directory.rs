//! The registry in files.

use anybroker_core::{Error, Kind};
use anybroker_patterns::schema::{Directory, Registered, Registry, RegistryError, Schema};
use serde_json::json;

fn schema(event_type: &str, version: u32, title: &str) -> Schema {
    Schema::new(event_type, version, json!({ "type": "object", "title": title }))
}

#[test]
fn what_was_registered_stays_and_the_difference_is_shown() {
    let place = tempfile::tempdir().unwrap();
    let registry = Directory::new(place.path().join("schemas"));
    assert_eq!(registry.register(&schema("order.placed", 2, "b")).unwrap(), Registered::New);
    assert_eq!(registry.register(&schema("order.placed", 10, "c")).unwrap(), Registered::New);
    assert_eq!(registry.register(&schema("order.placed", 2, "b")).unwrap(), Registered::Unchanged);
    let error = registry.register(&schema("order.placed", 2, "B")).unwrap_err();
    let RegistryError::Changed { differences, .. } = &error else { panic!("{error}") };
    assert_eq!(differences[0].pointer, "/title");
    let text = error.to_string();
    assert!(
        text.contains("/title: \"b\" is registered, \"B\" was given") && text.contains("new version"),
        "{text}"
    );
    assert_eq!(Error::from(error).kind(), Kind::InvalidConfiguration);
    let versions: Vec<_> = registry.schemas().unwrap().iter().map(|it| it.version).collect();
    assert_eq!(versions, [2, 10]);
}

#[test]
fn files_are_the_same_for_the_same_schema() {
    let place = tempfile::tempdir().unwrap();
    let registry = Directory::new(place.path());
    registry.register(&Schema::new("t", 1, json!({ "b": 1, "a": { "d": [2, 1], "c": null } }))).unwrap();
    let text = std::fs::read_to_string(place.path().join("t/1.json")).unwrap();
    let expected =
        "{\n  \"a\": {\n    \"c\": null,\n    \"d\": [\n      2,\n      1\n    ]\n  },\n  \"b\": 1\n}\n";
    assert_eq!(text, expected);
    let files: Vec<_> = std::fs::read_dir(place.path().join("t")).unwrap().collect();
    assert_eq!(files.len(), 1, "drafts are left behind: {files:?}");
}

#[test]
fn types_may_have_any_name_and_lead_nowhere_else() {
    let place = tempfile::tempdir().unwrap();
    let registry = Directory::new(place.path().join("schemas"));
    let names = ["a/b", "com.shop:Order Placed", "größe", "UP", "%2e"];
    for name in names {
        registry.register(&schema(name, 1, "x")).unwrap();
    }
    for name in ["", "..", "../x", &"x".repeat(300)] {
        let error = registry.register(&schema(name, 1, "x")).unwrap_err();
        assert!(matches!(error, RegistryError::Unreadable { .. }), "{error}");
    }
    let mut found: Vec<_> = registry.schemas().unwrap().into_iter().map(|it| it.event_type).collect();
    let mut expected = names.map(str::to_owned).to_vec();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_schema_is_an_error_and_never_left_out() {
    for (file, text, said) in [
        ("order.placed/one.json", "{}", "no version"),
        ("order.placed/01.json", "{}", "no version"),
        ("order.placed/1.json", "{", "no JSON"),
        ("order.placed/1.json", "[]", "object"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let error = Directory::new(place.path()).schemas().unwrap_err().to_string();
        assert!(error.contains(said) && error.contains(file), "{error}");
    }
    let missing = Directory::new("/no/such/place").schemas().unwrap_err();
    assert_eq!(Error::from(missing).kind(), Kind::NotFound);
}

#[tokio::test]
async fn many_register_at_once_and_one_is_first() {
    let place = tempfile::tempdir().unwrap();
    let registry = Directory::new(place.path());
    let registering: Vec<_> = (0..16)
        .map(|title: u32| {
            let registry = registry.clone();
            tokio::task::spawn_blocking(move || {
                registry.register(&schema("t", 1, &title.to_string())).is_ok()
            })
        })
        .collect();
    let mut taken = 0;
    for one in registering {
        taken += usize::from(one.await.unwrap());
    }
    assert_eq!(taken, 1);
    assert_eq!(Registry::schemas(&registry).await.unwrap().len(), 1);
}
