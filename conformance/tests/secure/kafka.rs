//! Kafka: SASL over TLS, and certificates on both sides.

use std::sync::Arc;

use anybroker::Kind;

use crate::cases::{refused, refused_by_either, round_trip};
use crate::impostor::bad_certificates;
use crate::targets::Target;
use crate::{Case, Outcome, case, child};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("scram_sha_512", async |target: Arc<Target>| goes_through(&target, "password").await),
        case("scram_sha_256", async |target: Arc<Target>| goes_through(&target, "scram-256").await),
        case("sasl_plain", async |target: Arc<Target>| goes_through(&target, "plain").await),
        case("client_certificate", async |target: Arc<Target>| goes_through(&target, "certificate").await),
        case("password_from_the_environment", from_the_environment),
        case("wrong_password", wrong_password),
        case("unknown_user", unknown_user),
        case("wrong_authority", wrong_authority),
        case("other_name_and_expired", other_name_and_expired),
        case("no_client_certificate", no_client_certificate),
        case("tls_to_a_plain_port", tls_to_a_plain_port),
        case("plain_to_a_tls_port", plain_to_a_tls_port),
        case("no_login", no_login),
    ]
}

async fn goes_through(target: &Target, way: &str) -> Outcome {
    round_trip(&format!("{}&topology=create", target.url(way))).await
}

fn login(target: &Target, user: &str, password: &str) -> String {
    let (port, ca) = (target.port(&target.url("password")), target.file("ca.pem"));
    format!("kafka+ssl://{user}@127.0.0.1:{port}?tls_ca={ca}&sasl=SCRAM-SHA-512{password}")
}

async fn from_the_environment(target: Arc<Target>) -> Outcome {
    let password = std::fs::read_to_string(target.file("password")).unwrap();
    let url = login(&target, "anybroker", "&password_env=KAFKA_PASSWORD&topology=create");
    child::round_trip(&url, &[("KAFKA_PASSWORD", &password)]).await
}

async fn wrong_password(target: Arc<Target>) -> Outcome {
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] {
        let url = login(&target, "anybroker:hunter2", "").replace("SCRAM-SHA-512", mechanism);
        refused(&url, Kind::PermissionDenied, &["check user, password"]).await?;
    }
    Ok(())
}

async fn unknown_user(target: Arc<Target>) -> Outcome {
    refused(&login(&target, "nobody:hunter2", ""), Kind::PermissionDenied, &["user"]).await
}

async fn wrong_authority(target: Arc<Target>) -> Outcome {
    let words = ["certificate failed verification", "tls_ca="];
    let url = target.url("password").replace("/ca.pem", "/other-ca.pem");
    refused(&url, Kind::InvalidConfiguration, &words).await?;
    // The system's authorities have not signed it either.
    let url = target.url("password").replace(&format!("tls_ca={}&", target.file("ca.pem")), "");
    refused(&url, Kind::InvalidConfiguration, &words).await
}

async fn other_name_and_expired(_: Arc<Target>) -> Outcome {
    let url = |port: u16, ca: &str| format!("kafka+ssl://127.0.0.1:{port}?tls_ca={ca}");
    // OpenSSL says no more than that, so the advice names both.
    bad_certificates("", url, ["another name", "expired"]).await
}

async fn no_client_certificate(target: Arc<Target>) -> Outcome {
    let url = target.url("certificate");
    let url = url.split("&tls_certificate").next().unwrap();
    refused(url, Kind::PermissionDenied, &["tls_certificate="]).await
}

async fn tls_to_a_plain_port(target: Arc<Target>) -> Outcome {
    let port = target.port(&target.plain);
    let url = format!("kafka+ssl://127.0.0.1:{port}?tls_ca={}", target.file("ca.pem"));
    // The broker hangs up; what it says before does not always arrive.
    let (heard, unheard) = (["does not speak TLS"], ["kafka://"]);
    refused_by_either(&url, &[(Kind::InvalidConfiguration, &heard), (Kind::Disconnected, &unheard)]).await
}

async fn plain_to_a_tls_port(target: Arc<Target>) -> Outcome {
    let port = target.port(&target.url("password"));
    refused(&format!("kafka://127.0.0.1:{port}"), Kind::Disconnected, &["kafka+ssl://"]).await
}

async fn no_login(target: Arc<Target>) -> Outcome {
    let (port, ca) = (target.port(&target.url("password")), target.file("ca.pem"));
    let url = format!("kafka+ssl://127.0.0.1:{port}?tls_ca={ca}");
    refused(&url, Kind::Disconnected, &["user:password@"]).await
}
