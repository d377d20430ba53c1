//! Schemas that are registered, found, changed and refused.

use anybroker_core::{Error, Kind};
use anybroker_patterns::schema::{Level, Registered, Registry, RegistryError, Schema};
use futures::future::join_all;
use serde_json::json;

use super::server::{foreign, open, own};
use super::{OrderPlaced, closed};

#[tokio::test]
async fn a_type_evolves_as_far_as_the_server_lets_it() {
    let Some(config) = own() else { return };
    let registry = open(&config);
    let one = Schema::new("order.placed", 1, closed(&[("cents", "integer")]));
    assert!(registry.judge(&one).await.unwrap().compatible);
    assert_eq!(registry.level("order.placed").await.unwrap(), None);
    let first = registry.register(&one).await.unwrap();
    assert_eq!(first.registered, Registered::New);
    let again = registry.register(&one).await.unwrap();
    assert_eq!((again.registered, again.id), (Registered::Unchanged, first.id));

    registry.set_level("order.placed", Level::BackwardTransitive).await.unwrap();
    assert_eq!(registry.level("order.placed").await.unwrap(), Some(Level::BackwardTransitive));
    let two = Schema::new("order.placed", 2, closed(&[("cents", "integer"), ("note", "string")]));
    assert!(registry.judge(&two).await.unwrap().compatible);
    let second = registry.register(&two).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(registry.by_id(second.id).await.unwrap(), two.document);

    let three = Schema::new("order.placed", 3, closed(&[("cents", "string"), ("note", "string")]));
    assert!(!registry.judge(&three).await.unwrap().compatible);
    let error = registry.register(&three).await.unwrap_err();
    let RegistryError::Incompatible { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("SUBSCHEMA_TYPE_CHANGED") && reason.contains("cents"), "{reason}");
    assert!(error.to_string().contains("order.placed version 3 is refused by http://127.0.0.1"), "{error}");
    assert_eq!(Error::from(error).kind(), Kind::InvalidConfiguration);
    assert_eq!(registry.by_version("order.placed", 3).await.unwrap(), None);

    // Another client sees the same, and its cache is its own.
    assert_eq!(Registry::schemas(&open(&config)).await.unwrap(), [one, two]);
}

#[tokio::test]
async fn a_published_version_stays_as_it_is() {
    let Some(config) = own() else { return };
    let registry = open(&config);
    registry.register(&Schema::new("t", 1, closed(&[("a", "string")]))).await.unwrap();
    let error = registry.register(&Schema::new("t", 1, closed(&[("a", "integer")]))).await.unwrap_err();
    let RegistryError::Changed { differences, .. } = &error else { panic!("{error}") };
    assert_eq!(differences[0].pointer, "/properties/a/type");
    assert_eq!(Registry::schemas(&registry).await.unwrap().len(), 1);
}

#[tokio::test]
async fn versions_have_gaps_and_may_be_the_same_but_in_number() {
    let Some(config) = own() else { return };
    let registry = open(&config);
    let same = |version| Schema::new("com.shop:Order Placed/ä", version, closed(&[("a", "string")]));
    let mut ids = Vec::new();
    for version in [3, 7] {
        ids.push(registry.register(&same(version)).await.unwrap().id);
    }
    assert_ne!(ids[0], ids[1]);
    let schemas = Registry::schemas(&registry).await.unwrap();
    assert_eq!(schemas, [same(3), same(7)]);
    assert_eq!(registry.by_version("com.shop:Order Placed/ä", 1).await.unwrap(), None);
}

#[tokio::test]
async fn of_those_that_register_a_version_at_once_one_is_first() {
    let Some(config) = own() else { return };
    let registry = open(&config);
    registry.register(&Schema::new("t", 1, closed(&[]))).await.unwrap();
    let kinds = ["string", "integer", "boolean", "null"];
    let schemas = kinds.map(|kind| Schema::new("t", 2, closed(&[("a", kind)])));
    let results = join_all(schemas.iter().map(|schema| registry.register(schema))).await;
    let first: Vec<_> = results.iter().zip(&schemas).filter(|(result, _)| result.is_ok()).collect();
    assert_eq!(first.len(), 1, "{results:?}");
    let kept = registry.by_version("t", 2).await.unwrap().unwrap();
    assert_eq!(&kept, first[0].1);
    assert_eq!(Registry::schemas(&registry).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_from_many_at_once_is_one() {
    let Some(config) = own() else { return };
    let schema = Schema::of::<OrderPlaced>();
    let register = || async { open(&config).register(&schema).await.map(|it| it.id) };
    let ids = join_all((0..6).map(|_| register())).await;
    let first = *ids[0].as_ref().unwrap();
    assert!(ids.iter().all(|id| id.as_ref().is_ok_and(|id| *id == first)), "{ids:?}");
}

#[tokio::test]
async fn schemas_of_others_are_read_by_the_server_s_versions() {
    let Some(config) = own() else { return };
    let registry = open(&config);
    let document = closed(&[("cents", "integer")]);
    let subject = format!("{}theirs", config.prefix);
    let id = foreign(&config, &subject, "JSON", &document).await;
    foreign(&config, &format!("{}avro", config.prefix), "AVRO", &json!("string")).await;
    let schema = Schema::new("theirs", 1, document);
    assert_eq!(Registry::schemas(&registry).await.unwrap(), std::slice::from_ref(&schema));
    let registered = registry.register(&schema).await.unwrap();
    assert_eq!((registered.id, registered.registered), (id, Registered::Unchanged));
}

#[tokio::test]
async fn what_is_no_schema_is_refused() {
    let Some(config) = own() else { return };
    let registry = open(&config);
    let schemas = [
        Schema::new("t", 1, json!(true)),
        Schema::new("", 1, json!({})),
        // Apicurio looks whether it is a JSON Schema, and does not see it in this one.
        Schema::new("t", 1, json!({ "type": "object" })),
    ];
    for schema in schemas {
        let error = Error::from(registry.register(&schema).await.unwrap_err());
        assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
    }
    assert_eq!(Registry::schemas(&registry).await.unwrap(), []);
}
