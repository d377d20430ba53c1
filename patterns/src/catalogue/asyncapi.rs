//! The catalogue as an AsyncAPI 3.0 document.

use serde_json::{Map, Value, json};

use super::{Catalogue, Exchange, Publication};

impl Catalogue {
    /// The AsyncAPI 3.0 document of all services: a channel for each topic, and what each service sends and receives there.
    pub fn asyncapi(&self, version: &str) -> Value {
        let mut document = Document::default();
        for (service, it) in self.publications() {
            document.publication(service, it);
        }
        for (service, it) in self.consumptions() {
            let message = document.message(&it.topic, &it.event_type, it.version);
            let operation = document.operation(service, "receive", &it.topic, &message);
            operation["description"] = json!(format!("consumer group {}", it.group));
        }
        for (name, service) in &self.services {
            service.asks.iter().for_each(|it| document.exchange(name, "send", it));
            service.answers.iter().for_each(|it| document.exchange(name, "receive", it));
        }
        json!({
            "asyncapi": "3.0.0",
            "info": { "title": self.title, "version": version },
            "defaultContentType": "application/json",
            "channels": document.channels,
            "operations": document.operations,
            "components": { "messages": document.messages, "schemas": document.schemas },
        })
    }
}

#[derive(Default)]
struct Document {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Document {
    /// The message's name in the channel, which it is put into.
    fn message(&mut self, topic: &str, event_type: &str, version: Option<u32>) -> String {
        let name = match version {
            Some(version) => format!("{}.v{version}", id(event_type)),
            None => id(event_type),
        };
        let title =
            version.map_or(event_type.to_owned(), |version| format!("{event_type} version {version}"));
        let mut message = json!({ "name": event_type, "title": title });
        if let Some(version) = version {
            message["x-schema-version"] = json!(version);
        }
        self.messages.entry(&name).or_insert(message);
        let channel =
            self.channels.entry(id(topic)).or_insert_with(|| json!({ "address": topic, "messages": {} }));
        channel["messages"][&name] = json!({ "$ref": format!("#/components/messages/{name}") });
        name
    }

    fn operation(&mut self, service: &str, action: &str, topic: &str, message: &str) -> &mut Value {
        let name = format!("{}.{action}.{}.{message}", id(service), id(topic));
        let channel = format!("#/channels/{}", id(topic));
        let operation = json!({
            "action": action,
            "channel": { "$ref": &channel },
            "messages": [{ "$ref": format!("{channel}/messages/{message}") }],
            "tags": [{ "name": service }],
        });
        self.operations.entry(name).or_insert(operation)
    }

    fn publication(&mut self, service: &str, it: &Publication) {
        let name = self.message(&it.topic, &it.event_type, it.version);
        if let Some(schema) = &it.schema {
            let payload = self.payload(&name, schema);
            self.messages[&name]["payload"] = payload;
        }
        if let Some(key) = &it.key {
            self.messages[&name]["x-key"] = json!(key);
        }
        self.operation(service, "send", &it.topic, &name);
    }

    fn exchange(&mut self, service: &str, action: &str, it: &Exchange) {
        let name = self.message(&it.topic, &it.request, None);
        let operation = self.operation(service, action, &it.topic, &name);
        operation["reply"] = json!({
            "address": { "location": "$message.header#/replyto", "description": format!("The reply is {}", it.reply) },
        });
        operation["x-reply"] = json!(it.reply);
    }

    /// A schema whose definitions are the document's.
    fn payload(&mut self, message: &str, schema: &Value) -> Value {
        let mut schema = schema.clone();
        let Some(own) = schema.as_object_mut() else { return schema };
        own.remove("$schema");
        for definitions in ["definitions", "$defs"] {
            let Some(Value::Object(all)) = own.remove(definitions) else { continue };
            for (name, mut definition) in all {
                relocate(&mut definition, message);
                self.schemas.insert(format!("{message}.{}", id(&name)), definition);
            }
        }
        relocate(&mut schema, message);
        schema
    }
}

/// Lets references to a schema's own definitions lead to where they are now.
fn relocate(value: &mut Value, message: &str) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(place) if name == "$ref" => {
                        let own =
                            place.strip_prefix("#/definitions/").or_else(|| place.strip_prefix("#/$defs/"));
                        if let Some(own) = own {
                            *place = format!("#/components/schemas/{message}.{}", id(own));
                        } else if place == "#" {
                            *place = format!("#/components/messages/{message}/payload");
                        }
                    }
                    other => relocate(other, message),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| relocate(item, message)),
        _ => {}
    }
}

/// A name as keys of the document may be.
fn id(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}
