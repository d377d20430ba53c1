//! NATS: an nkey or a password over TLS.

use std::sync::Arc;

use anybroker::Kind;

use crate::cases::{refused, round_trip};
use crate::impostor::{Authority, bad_certificates};
use crate::endpoint::Endpoint;
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
