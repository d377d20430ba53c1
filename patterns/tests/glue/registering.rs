//! Schemas that are registered, found, changed and refused.

use anybroker_core::{Error, Kind};
use anybroker_patterns::schema::{GlueConfig, Level, Registered, Registry, RegistryError, Schema};
use futures::future::join_all;
use serde_json::json;

use super::closed;
use super::server::{foreign, open, own};

#[tokio::test]
async fn a_type_evolves_as_far_as_its_level_lets_it() {
    let Some(config) = own() else { return };
    let registry = open(&config).await;
    let one = Schema::new("order.placed", 1, closed(&[("cents", "integer")]));
    assert!(registry.judge(&one).await.unwrap().compatible);
    assert_eq!(registry.level("order.placed").await.unwrap(), None);
    let first = registry.register(&one).await.unwrap();
    assert_eq!(first.registered, Registered::New);
    let again = registry.register(&one).await.unwrap();
    assert_eq!((again.registered, again.id), (Registered::Unchanged, first.id.clone()));
    assert_eq!(registry.level("order.placed").await.unwrap(), Some(Level::Backward));

    let two = Schema::new("order.placed", 2, closed(&[("cents", "integer"), ("note", "string")]));
    assert!(registry.judge(&two).await.unwrap().compatible);
    let second = registry.register(&two).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(registry.by_id(&second.id).await.unwrap(), Some(two.clone()));

    let three = Schema::new("order.placed", 3, closed(&[("cents", "string"), ("note", "string")]));
    assert!(!registry.judge(&three).await.unwrap().compatible);
    let error = registry.register(&three).await.unwrap_err();
    let RegistryError::Incompatible { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("/cents"), "{reason}");
    assert!(error.to_string().contains("order.placed version 3 is refused by the registry"), "{error}");
    assert_eq!(Error::from(error).kind(), Kind::InvalidConfiguration);
    assert_eq!(registry.by_version("order.placed", 3).await.unwrap(), None);

    registry.set_level("order.placed", Level::None).await.unwrap();
    assert_eq!(registry.level("order.placed").await.unwrap(), Some(Level::None));
    registry.register(&three).await.unwrap();
    // Another client sees the same.
    assert_eq!(open(&config).await.versions("order.placed").await.unwrap(), [one, two, three]);
}

#[tokio::test]
async fn the_first_version_brings_the_configured_level() {
    let Some(config) = own() else { return };
    let registry = open(&GlueConfig { level: Level::Disabled, ..config }).await;
    registry.register(&Schema::new("t", 1, closed(&[]))).await.unwrap();
    assert_eq!(registry.level("t").await.unwrap(), Some(Level::Disabled));
    let error = registry.register(&Schema::new("t", 2, closed(&[]))).await.unwrap_err();
    assert!(error.to_string().contains("DISABLED"), "{error}");
}

#[tokio::test]
async fn a_published_version_stays_as_it_is() {
    let Some(config) = own() else { return };
    let registry = open(&config).await;
    registry.register(&Schema::new("t", 1, closed(&[("a", "string")]))).await.unwrap();
    let error = registry.register(&Schema::new("t", 1, closed(&[("a", "integer")]))).await.unwrap_err();
    let RegistryError::Changed { differences, .. } = &error else { panic!("{error}") };
    assert_eq!(differences[0].pointer, "/properties/a/type");
    assert_eq!(registry.versions("t").await.unwrap().len(), 1);
}

#[tokio::test]
async fn versions_have_gaps_and_may_be_the_same_but_in_number() {
    let Some(config) = own() else { return };
    let registry = open(&config).await;
    let same = |version| Schema::new("com.shop:Order Placed/ä", version, closed(&[("a", "string")]));
    let mut ids = Vec::new();
    for version in [3, 7] {
        ids.push(registry.register(&same(version)).await.unwrap().id);
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(registry.versions("com.shop:Order Placed/ä").await.unwrap(), [same(3), same(7)]);
    assert_eq!(registry.by_version("com.shop:Order Placed/ä", 1).await.unwrap(), None);
}

#[tokio::test]
async fn of_those_that_register_a_version_at_once_one_is_first() {
    let Some(config) = own() else { return };
    let registry = open(&GlueConfig { level: Level::None, ..config }).await;
    registry.register(&Schema::new("t", 1, closed(&[]))).await.unwrap();
    let kinds = ["string", "integer", "boolean", "null"];
    let schemas = kinds.map(|kind| Schema::new("t", 2, closed(&[("a", kind)])));
    let results = join_all(schemas.iter().map(|schema| registry.register(schema))).await;
    let first: Vec<_> = results.iter().zip(&schemas).filter(|(result, _)| result.is_ok()).collect();
    assert_eq!(first.len(), 1, "{results:?}");
    let kept = registry.by_version("t", 2).await.unwrap().unwrap();
    assert_eq!(&kept, first[0].1);
    assert_eq!(registry.versions("t").await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_from_many_at_once_is_one() {
    let Some(config) = own() else { return };
    let registry = open(&config).await;
    registry.register(&Schema::new("t", 1, closed(&[]))).await.unwrap();
    let schema = Schema::new("t", 2, closed(&[("a", "string")]));
    let ids = join_all((0..6).map(|_| registry.register(&schema))).await;
    let first = &ids[0].as_ref().unwrap().id;
    assert!(ids.iter().all(|it| it.as_ref().is_ok_and(|it| it.id == *first)), "{ids:?}");
}

#[tokio::test]
async fn schemas_of_others_are_read_by_glue_s_versions() {
    let Some(config) = own() else { return };
    let registry = open(&config).await;
    let document = closed(&[("cents", "integer")]);
    let id = foreign(&config, &format!("{}theirs", config.prefix), "JSON", &document).await;
    let schema = Schema::new("theirs", 1, document);
    assert_eq!(registry.versions("theirs").await.unwrap(), std::slice::from_ref(&schema));
    assert_eq!(registry.by_id(&id).await.unwrap(), Some(schema.clone()));
    assert_eq!(Registry::register(&registry, &schema).await.unwrap(), Registered::Unchanged);

    let id = foreign(&config, &format!("{}avro", config.prefix), "AVRO", &json!("string")).await;
    for error in [registry.versions("avro").await.unwrap_err(), registry.by_id(&id).await.unwrap_err()] {
        let error = Error::from(error);
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("AVRO"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_schema_is_refused_and_what_is_not_there_is_said() {
    let Some(config) = own() else { return };
    let registry = open(&config).await;
    let long = "x".repeat(300);
    for (event_type, document) in [("t", json!(true)), ("", json!({})), (long.as_str(), json!({}))] {
        let error = Error::from(registry.register(&Schema::new(event_type, 1, document)).await.unwrap_err());
        assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
    }
    assert_eq!(registry.versions("t").await.unwrap(), []);
    assert_eq!(registry.by_id("00000000-0000-4000-8000-000000000000").await.unwrap(), None);
    let error = Error::from(registry.set_level("t", Level::Full).await.unwrap_err());
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("register a schema of t first"), "{error}");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_no_registry_without_schemas() {
    let Some(config) = own() else { return };
    let registry = open(&GlueConfig { registry: "nowhere".to_owned(), ..config }).await;
    let schema = Schema::new("t", 1, closed(&[]));
    let asked = [
        registry.versions("t").await.unwrap_err(),
        registry.register(&schema).await.unwrap_err(),
        registry.judge(&schema).await.unwrap_err(),
    ];
    for error in asked {
        let error = Error::from(error);
        assert_eq!(error.kind(), Kind::NotFound);
        let text = error.to_string();
        assert!(text.contains("`nowhere`") && text.contains("create-registry"), "{text}");
    }
}
