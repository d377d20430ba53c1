//! Documents as they are on the server: with the type and the version that the server does not keep.

use serde_json::Value;

use super::Schema;

const TYPE: &str = "x-event-type";
const VERSION: &str = "x-schema-version";

/// The document to register. None if it is no object, and so has no room for the two.
pub(super) fn marked(schema: &Schema) -> Option<Value> {
    let mut document = schema.document.clone();
    let members = document.as_object_mut()?;
    members.insert(TYPE.to_owned(), Value::from(schema.event_type.clone()));
    members.insert(VERSION.to_owned(), Value::from(schema.version));
    Some(document)
}

/// The type and the version that a document has with it, which it has no more then.
pub(super) fn take_marks(document: &mut Value) -> Option<(String, u32)> {
    let members = document.as_object_mut()?;
    let event_type = members.get(TYPE)?.as_str()?.to_owned();
    let version = u32::try_from(members.get(VERSION)?.as_u64()?).ok()?;
    members.remove(TYPE);
    members.remove(VERSION);
    Some((event_type, version))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn marks_come_off_as_they_went_on() {
        let schema = Schema::new("order.placed", 7, json!({ "type": "object" }));
        let mut document = marked(&schema).unwrap();
        assert_eq!(document["x-schema-version"], 7);
        assert_eq!(take_marks(&mut document), Some(("order.placed".to_owned(), 7)));
        assert_eq!(document, schema.document);
        assert_eq!(take_marks(&mut document), None);
        assert_eq!(marked(&Schema::new("t", 1, json!(true))), None);
    }
}
