//! Pulsar: a token over TLS.

use std::sync::Arc;

use anybroker::Kind;

use crate::cases::{refused, round_trip};
use crate::impostor::bad_certificates;
use crate::targets::Target;
use crate::{Case, Outcome, case, child};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("token_from_a_file", token_from_a_file),
        case("token_from_the_environment", from_the_environment),
        case("wrong_token", wrong_token),
        case("wrong_authority", wrong_authority),
        case("other_name_and_expired", other_name_and_expired),
        case("plain_to_a_tls_port", plain_to_a_tls_port),
        case("tls_to_a_plain_port", tls_to_a_plain_port),
    ]
}

async fn token_from_a_file(target: Arc<Target>) -> Outcome {
    round_trip(&format!("{}&topology=create", target.url("token"))).await
}

/// The URL without its token.
fn without(target: &Target) -> String {
    target.url("token").replace(&format!("&token_file={}", target.file("token")), "")
}

async fn from_the_environment(target: Arc<Target>) -> Outcome {
    let token = std::fs::read_to_string(target.file("token")).unwrap();
    let url = format!("{}&token_env=PULSAR_TOKEN&topology=create", without(&target));
    child::round_trip(&url, &[("PULSAR_TOKEN", &token)]).await
}

async fn wrong_token(target: Arc<Target>) -> Outcome {
    // Of the same user, signed with another key.
    let token =
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiAiYW55YnJva2VyIn0.lwQwdhXYMSDnQvCmv5dyA5iGp-c8w02bkonkqbizSFA";
    refused(&format!("{}&token={token}", without(&target)), Kind::PermissionDenied, &["token"]).await
}

async fn wrong_authority(target: Arc<Target>) -> Outcome {
    let words = ["certificate failed verification", "tls_ca="];
    let url = target.url("token").replace("/ca.pem", "/other-ca.pem");
    refused(&url, Kind::InvalidConfiguration, &words).await
}

async fn other_name_and_expired(_: Arc<Target>) -> Outcome {
    let url = |port: u16, ca: &str| format!("pulsar+ssl://127.0.0.1:{port}?tls_ca={ca}");
    bad_certificates("", url, ["it is for another name", "it has expired"]).await
}

/// The server takes the first frame for the beginning of a handshake, and hangs up.
async fn plain_to_a_tls_port(target: Arc<Target>) -> Outcome {
    let port = target.port(&target.url("token"));
    refused(&format!("pulsar://127.0.0.1:{port}"), Kind::Disconnected, &[]).await
}

async fn tls_to_a_plain_port(target: Arc<Target>) -> Outcome {
    let port = target.port(&target.plain);
    let url = format!("pulsar+ssl://127.0.0.1:{port}?tls_ca={}&deadline=3s", target.file("ca.pem"));
    crate::cases::refused_by_either(
        &url,
        &[(Kind::InvalidConfiguration, &["TLS"]), (Kind::Disconnected, &[]), (Kind::TimedOut, &[])],
    )
    .await
}
