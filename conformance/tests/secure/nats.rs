//! NATS: an nkey or a password over TLS.

use std::sync::Arc;

use anybroker::Kind;

use crate::cases::{refused, round_trip};
use crate::endpoint::Endpoint;
use crate::impostor::{Authority, bad_certificates};
use crate::targets::Target;
use crate::{Case, Outcome, case, child};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("nkey", async |target: Arc<Target>| goes_through(&target, "nkey").await),
        case("password_from_a_file", async |target: Arc<Target>| goes_through(&target, "password").await),
        case("password_from_the_environment", from_the_environment),
        case("wrong_password", wrong_password),
        case("unknown_user", unknown_user),
        case("wrong_nkey", wrong_nkey),
        case("wrong_authority", wrong_authority),
        case("other_name_and_expired", other_name_and_expired),
        case("plain_to_a_tls_port", plain_to_a_tls_port),
        case("tls_to_a_plain_port", tls_to_a_plain_port),
    ]
}

async fn goes_through(target: &Target, way: &str) -> Outcome {
    round_trip(&format!("{}&topology=create", target.url(way))).await
}

fn login(target: &Target, user: &str, parameters: &str) -> String {
    let (port, ca) = (target.port(&target.plain), target.file("ca.pem"));
    format!("tls://{user}@127.0.0.1:{port}?tls_ca={ca}{parameters}")
}

async fn from_the_environment(target: Arc<Target>) -> Outcome {
    let password = std::fs::read_to_string(target.file("password")).unwrap();
    let url = login(&target, "anybroker", "&password_env=NATS_PASSWORD&topology=create");
    child::round_trip(&url, &[("NATS_PASSWORD", &password)]).await
}

async fn wrong_password(target: Arc<Target>) -> Outcome {
    refused(&login(&target, "anybroker:hunter2", ""), Kind::PermissionDenied, &[]).await
}

async fn unknown_user(target: Arc<Target>) -> Outcome {
    refused(&login(&target, "nobody:hunter2", ""), Kind::PermissionDenied, &[]).await
}

async fn wrong_nkey(target: Arc<Target>) -> Outcome {
    refused(&target.url("nkey").replace("/user.nk", "/other.nk"), Kind::PermissionDenied, &[]).await
}

async fn wrong_authority(target: Arc<Target>) -> Outcome {
    let words = ["certificate failed verification", "tls_ca="];
    let url = target.url("nkey").replace("/ca.pem", "/other-ca.pem");
    refused(&url, Kind::InvalidConfiguration, &words).await?;
    let url = target.url("nkey").replace(&format!("tls_ca={}&", target.file("ca.pem")), "");
    refused(&url, Kind::InvalidConfiguration, &words).await
}

/// What a server says before it encrypts, and what one says that does not.
const ENCRYPTS: &str = concat!(
    r#"INFO {"server_id":"x","server_name":"x","version":"2.15.1","proto":1,"host":"127.0.0.1","port":1,"#,
    r#""headers":true,"max_payload":1048576,"tls_required":true}"#,
    "\r\n"
);
const PLAIN: &str = concat!(
    r#"INFO {"server_id":"x","server_name":"x","version":"2.15.1","proto":1,"host":"127.0.0.1","port":1,"#,
    r#""headers":true,"max_payload":1048576}"#,
    "\r\n"
);
/// What nats-server 2.15.1 answers to a client that encrypts all the same.
const REFUSES: &[u8] = b"-ERR 'Unknown Protocol Operation'\r\n";

async fn other_name_and_expired(_: Arc<Target>) -> Outcome {
    let url = |port: u16, ca: &str| format!("tls://127.0.0.1:{port}?tls_ca={ca}");
    bad_certificates(ENCRYPTS, url, ["it is for another name", "it has expired"]).await
}

/// A server that encrypts from the first byte says nothing to a client that waits for its greeting.
async fn plain_to_a_tls_port(target: Arc<Target>) -> Outcome {
    let endpoint =
        Endpoint::open(&Authority::new().identity("127.0.0.1"), target.port(&target.plain), "").await;
    refused(&format!("nats://127.0.0.1:{}?deadline=3s", endpoint.port), Kind::TimedOut, &["handshake_first"])
        .await
}

async fn tls_to_a_plain_port(target: Arc<Target>) -> Outcome {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, PLAIN.as_bytes()).await;
            let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 4096]).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, REFUSES).await;
        }
    });
    let url = format!("tls://127.0.0.1:{port}?tls_ca={}", target.file("ca.pem"));
    let outcome = refused(&url, Kind::InvalidConfiguration, &["TLS"]).await;
    server.abort();
    outcome
}
