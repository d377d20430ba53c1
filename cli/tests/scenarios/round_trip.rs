//! From `pub` to `sub`.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::topic::TestTopic;
use crate::command::anybroker;

pub(crate) fn everything_of_a_message_arrives(url: &str) {
    let topic = TestTopic::create(url);
    let envelope = json!({
        "id": "m-1", "key": "k☃", "type": "order.placed",
        "headers": {"tenant": "acme", "twice": ["1", "2"], "binary": {"base64": "/wA="}},
        "payload": {"b": 1, "a": "☃"},
    });
    let input = format!(
        "{envelope}\n{{\"payload_base64\":\"/wD/\",\"key_base64\":\"/g==\"}}\n{{\"payload\":\"\"}}\n"
    );
    let ran = topic.publish(&["--input", "envelope"], &input);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.json()[3], json!({"published": 3, "ok": 3, "failed": 0, "unknown": 0}));

    let received = topic.receive(&["--max", "3"]);
    let mut lines = received.json();
    lines.sort_by_key(|line| line["id"] != "m-1");
    let first = &lines[0];
    assert_eq!(first["topic"], topic.name.as_str());
    assert_eq!((&first["key"], &first["type"]), (&json!("k☃"), &json!("order.placed")));
    assert_eq!(first["headers"], envelope["headers"]);
    assert_eq!(first["payload"], envelope["payload"].to_string());
    assert_eq!((&first["attempt"], &first["redelivered"]), (&json!(1), &json!(false)));
    let binary = lines.iter().find(|line| line["payload_base64"] == "/wD/").unwrap();
    assert_eq!(
        (&binary["key_base64"], &binary["type"], &binary["headers"]),
        (&json!("/g=="), &Value::Null, &json!({}))
    );
    assert!(lines.iter().any(|line| line["payload"] == "" && line["key"].is_null()));

    // What `sub` prints can be published again as it is.
    let ran = topic.publish(&["--input", "envelope"], &received.out);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let mut again = topic.receive(&["--max", "3"]).json();
    again.sort_by_key(|line| line["id"] != "m-1");
    for field in ["id", "key", "headers", "type", "payload"] {
        assert_eq!(again[0][field], lines[0][field], "{field}");
    }
}

pub(crate) fn order_per_key_holds_for_many_lines(url: &str) {
    const COUNT: usize = 20_000;
    let topic = TestTopic::create(url);
    let input: String = (0..COUNT).map(|n| format!("{{\"k\":\"key-{}\",\"n\":{n}}}\n", n % 37)).collect();
    let ran = topic.publish(&["--key-field", "k"], &input);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let outcomes = ran.json();
    assert!(outcomes[..COUNT].iter().all(|line| line["outcome"] == "ok"));
    assert_eq!(outcomes[COUNT]["ok"], COUNT);

    let max = COUNT.to_string();
    let mut last: HashMap<String, u64> = HashMap::new();
    let mut received = 0;
    for line in topic.receive(&["--max", &max]).json() {
        let payload: Value = serde_json::from_str(line["payload"].as_str().unwrap()).unwrap();
        let n = payload["n"].as_u64().unwrap();
        let before = last.insert(line["key"].as_str().unwrap().to_owned(), n);
        assert!(before.is_none_or(|before| before < n), "{n} after {before:?}");
        received += 1;
    }
    assert_eq!((received, last.len()), (COUNT, 37));
    assert!(topic.numbers(&["--idle", "2"]).is_empty());
}

pub(crate) fn guarantees_are_probed(url: &str) {
    let topic = TestTopic::create(url);
    let args = ["guarantees", url, "--topic", &topic.name, "--group", &topic.group, "--format", "json"];
    let ran = anybroker(&args, "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let answer = &ran.json()[0];
    assert_eq!(answer["guarantees"]["delivery"]["value"], "at-least-once");
    assert!(answer["version"].is_string() || answer["version"].is_null());
    let rows = answer["guarantees"].as_object().unwrap();
    for (name, row) in rows {
        assert!(row["source"].as_str().unwrap().starts_with("http"), "{name} has no source");
    }

    let args = ["guarantees", url, "--topic", &topic.name, "--require", "ordering=total"];
    let ran = anybroker(&args, "");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("what would satisfy it"), "{}", ran.out);
}
