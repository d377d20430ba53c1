//! The AsyncAPI document: what AsyncAPI 3.0 requires, and that every reference in it leads somewhere.

use anybroker_patterns::catalogue::{Catalogue, Publication};
use anybroker_patterns::schema::Schema;
use serde_json::{Value, json};

use super::{OrderPlaced, Quote, Quoted, consumer, placed, topic};

fn document() -> Value {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": { "lines": { "type": "array", "items": { "$ref": "#/definitions/Line" } }, "self": { "$ref": "#" } },
        "definitions": { "Line": { "type": "object", "properties": { "next": { "$ref": "#/definitions/Line" } } } },
    });
    let catalogue = Catalogue::new("shop")
        .service("orders & co", |it| {
            it.publishes(placed().schema(&Schema::new("order.placed", 1, schema)))
                .publishes(Publication::named("com/shop:odd name", &topic("odd")))
                .asks::<Quote, Quoted>(&topic("quotes"))
        })
        .service("billing", consumer)
        .service("quoting", |it| it.answers::<Quote, Quoted>(&topic("quotes")));
    catalogue.asyncapi("1.2.3")
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 10);
    for place in found {
        assert!(document.pointer(place.strip_prefix('#').unwrap()).is_some(), "{place}\n{document:#}");
    }
}

#[test]
fn what_the_specification_requires_is_there() {
    let document = document();
    assert_eq!(document["asyncapi"], "3.0.0");
    assert_eq!(document["info"], json!({ "title": "shop", "version": "1.2.3" }));
    let members = |name: &str| document[name].as_object().unwrap().clone();
    let named = |names: &str| names.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    for (name, channel) in members("channels") {
        assert!(
            named(&name) && channel["address"].is_string() && channel["messages"].is_object(),
            "{channel}"
        );
    }
    assert_eq!(members("operations").len(), 5);
    for (name, operation) in members("operations") {
        assert!(named(&name) && ["send", "receive"].contains(&operation["action"].as_str().unwrap()));
        let channel = operation["channel"]["$ref"].as_str().unwrap();
        let message = operation["messages"][0]["$ref"].as_str().unwrap();
        assert!(message.starts_with(&format!("{channel}/messages/")), "{operation}");
    }
    let message = &document["components"]["messages"]["order.placed.v1"];
    assert_eq!((&message["name"], &message["x-key"]), (&json!("order.placed"), &json!("order")));
    assert_eq!(
        message["payload"]["properties"]["lines"]["items"]["$ref"],
        "#/components/schemas/order.placed.v1.Line"
    );
}

#[test]
fn derived_schemas_are_payloads() {
    let publication = placed().schema(&Schema::of::<OrderPlaced>());
    let document = Catalogue::new("shop").service("orders", |it| it.publishes(publication)).asyncapi("1");
    assert_eq!(document["components"]["messages"]["order.placed.v1"]["payload"]["type"], "object");
}
