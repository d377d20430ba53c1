//! The server, and what other clients of it do.

use anybroker_core::{BrokerUrl, MessageId};
use anybroker_patterns::schema::{GlueConfig, GlueRegistry};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A configuration whose schemas are its own; none if the server is left out by name.
pub(crate) fn own() -> Option<GlueConfig> {
    let excluded = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    if excluded.split(',').any(|name| name == "glue") {
        eprintln!("not run: glue is excluded by ANYBROKER_TEST_EXCLUDE");
        return None;
    }
    let default = || "glue://us-east-1?endpoint=http://127.0.0.1:5000".to_owned();
    let url: BrokerUrl = std::env::var("ANYBROKER_GLUE_URL").unwrap_or_else(|_| default()).parse().unwrap();
    let prefix = format!("{}.", MessageId::new());
    Some(GlueConfig { prefix, ..GlueConfig::from_url(&url).unwrap() })
}

pub(crate) async fn open(config: &GlueConfig) -> GlueRegistry {
    GlueRegistry::open(config.clone()).await.unwrap()
}

/// Registers a schema as another client does, and returns the id of its version.
pub(crate) async fn foreign(config: &GlueConfig, name: &str, format: &str, schema: &Value) -> String {
    let body = json!({
        "RegistryId": { "RegistryName": config.registry },
        "SchemaName": name,
        "DataFormat": format,
        "Compatibility": "NONE",
        "SchemaDefinition": schema.to_string(),
    });
    let body = body.to_string();
    let address = config.endpoint.as_deref().unwrap().strip_prefix("http://").unwrap();
    let credential = format!("local/20260101/{}/glue/aws4_request", config.region);
    let request = format!(
        "POST / HTTP/1.0\r\nHost: {address}\r\nX-Amz-Target: AWSGlue.CreateSchema\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0\r\n\
         Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let json = answer.split_once("\r\n\r\n").unwrap().1;
    let answer: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {answer}"));
    answer["SchemaVersionId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}
