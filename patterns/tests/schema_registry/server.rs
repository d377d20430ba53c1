//! The server, and what other clients of it do.

use anybroker_core::{BrokerUrl, MessageId};
use anybroker_patterns::schema::{ConfluentConfig, ConfluentRegistry, Login};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use base64::Engine as _;

/// The configuration of the server; none if it is left out by name.
pub(crate) fn config() -> Option<ConfluentConfig> {
    let excluded = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    if excluded.split(',').any(|name| name == "registry") {
        eprintln!("not run: registry is excluded by ANYBROKER_TEST_EXCLUDE");
        return None;
    }
    let default = || "http://anybroker:anybroker@127.0.0.1:8081/apis/ccompat/v7".to_owned();
    let url: BrokerUrl =
        std::env::var("ANYBROKER_REGISTRY_URL").unwrap_or_else(|_| default()).parse().unwrap();
    Some(ConfluentConfig::from_url(&url).unwrap())
}

/// A configuration whose subjects are its own.
pub(crate) fn own() -> Option<ConfluentConfig> {
    let prefix = format!("{}.", MessageId::new());
    config().map(|config| ConfluentConfig { prefix, ..config })
}

pub(crate) fn open(config: &ConfluentConfig) -> ConfluentRegistry {
    ConfluentRegistry::open(config.clone()).unwrap()
}

/// The port of the server.
pub(crate) fn port(config: &ConfluentConfig) -> u16 {
    let host = config.addresses[0].split('/').nth(2).unwrap();
    host.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// The same configuration, at another port of this machine.
pub(crate) fn at(config: &ConfluentConfig, port: u16) -> ConfluentConfig {
    let path: Vec<_> = config.addresses[0].split('/').skip(3).collect();
    let addresses = vec![format!("http://127.0.0.1:{port}/{}", path.join("/"))];
    ConfluentConfig { addresses, ..config.clone() }
}

/// Registers a schema as another client does, and returns its id.
pub(crate) async fn foreign(config: &ConfluentConfig, subject: &str, kind: &str, schema: &Value) -> u32 {
    let path = config.addresses[0].splitn(4, '/').nth(3).unwrap();
    let Some(Login::Basic { user, password }) = &config.login else { panic!("no login") };
    let login = format!("{user}:{}", password.expose());
    let login = base64::engine::general_purpose::STANDARD.encode(login);
    let body = json!({ "schemaType": kind, "schema": schema.to_string() }).to_string();
    let request = format!(
        "POST /{path}/subjects/{subject}/versions HTTP/1.0\r\nAuthorization: Basic {login}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(("127.0.0.1", port(config))).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let json = answer.split_once("\r\n\r\n").unwrap().1;
    let answer: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {answer}"));
    answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}")) as u32
}
