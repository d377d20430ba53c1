//! RabbitMQ: a password over TLS, and the mechanism EXTERNAL.

use std::sync::Arc;

use anybroker::{Kind, MessageId, PublisherOptions, Topic};

use crate::cases::{refused, round_trip};
use crate::impostor::bad_certificates;
use crate::targets::Target;
use crate::{Case, Outcome, case, child};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("password_from_a_file", async |target: Arc<Target>| goes_through(&target, "password").await),
        case("client_certificate", async |target: Arc<Target>| goes_through(&target, "certificate").await),
        case("password_from_the_environment", from_the_environment),
        case("wrong_password", wrong_password),
        case("unknown_user", unknown_user),
        case("wrong_authority", wrong_authority),
        case("other_name_and_expired", other_name_and_expired),
        case("no_such_user_for_the_certificate", no_such_user_for_the_certificate),
        case("files_are_read_again", files_are_read_again),
        case("tls_to_a_plain_port", tls_to_a_plain_port),
        case("plain_to_a_tls_port", plain_to_a_tls_port),
    ]
}

async fn goes_through(target: &Target, way: &str) -> Outcome {
    round_trip(&format!("{}&topology=create", target.url(way))).await
}

fn login(target: &Target, user: &str, parameters: &str) -> String {
    let (port, ca) = (target.port(&target.url("password")), target.file("ca.pem"));
    format!("amqps://{user}@127.0.0.1:{port}?tls_ca={ca}{parameters}")
}

async fn from_the_environment(target: Arc<Target>) -> Outcome {
    let password = std::fs::read_to_string(target.file("password")).unwrap();
    let url = login(&target, "anybroker", "&password_env=RABBIT_PASSWORD&topology=create");
    child::round_trip(&url, &[("RABBIT_PASSWORD", &password)]).await
}

async fn wrong_password(target: Arc<Target>) -> Outcome {
    refused(&login(&target, "anybroker:hunter2", ""), Kind::PermissionDenied, &["password"]).await
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
    let url = |port: u16, ca: &str| format!("amqps://127.0.0.1:{port}?tls_ca={ca}");
    bad_certificates("", url, ["it is for another name", "it has expired"]).await
}

async fn no_such_user_for_the_certificate(target: Arc<Target>) -> Outcome {
    let url = target.url("certificate").replace("/client.", "/stranger.");
    refused(&url, Kind::PermissionDenied, &[]).await
}

/// The first publisher opens a connection of its own, which takes the authority that is in the file by then.
async fn files_are_read_again(target: Arc<Target>) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let put = |name: &str| std::fs::copy(target.file(name), &file).map(drop).map_err(|e| e.to_string());
    put("ca.pem")?;
    let url = target.url("password").replace(&target.file("ca.pem"), &file.display().to_string());
    let broker = anybroker::connect(&format!("{url}&topology=create")).await.map_err(|e| e.to_string())?;
    let topic = Topic::new(format!("secure-{}", MessageId::new())).unwrap();
    put("other-ca.pem")?;
    let refused = broker.publisher(PublisherOptions::new(topic.clone())).await;
    put("ca.pem")?;
    let taken = broker.publisher(PublisherOptions::new(topic.clone())).await;
    let _ = broker.admin().delete(&topic).await;
    let _ = broker.close().await;
    taken.map_err(|e| e.to_string())?;
    match refused {
        Err(error) if error.to_string().contains("certificate failed verification") => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(_) => Err("the authority that was there before still counts".to_owned()),
    }
}

async fn tls_to_a_plain_port(target: Arc<Target>) -> Outcome {
    let port = target.port(&target.plain);
    let url = format!("amqps://127.0.0.1:{port}?tls_ca={}", target.file("ca.pem"));
    refused(&url, Kind::InvalidConfiguration, &["does not speak TLS"]).await
}

async fn plain_to_a_tls_port(target: Arc<Target>) -> Outcome {
    let port = target.port(&target.url("password"));
    refused(&format!("amqp://127.0.0.1:{port}"), Kind::InvalidConfiguration, &["amqps"]).await
}
