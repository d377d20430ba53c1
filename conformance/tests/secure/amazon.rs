//! Amazon SQS: whom the credential chain finds, and an endpoint with a private authority.
//!
//! ElasticMQ has no TLS and checks no signature. So an encrypted endpoint stands in front of it, and what is looked at
//! is whose access key signs the requests that arrive.

use std::path::Path;
use std::sync::Arc;

use anybroker::Kind;

use crate::cases::{refused, round_trip};
use crate::endpoint::Endpoint;
use crate::impostor::{Authority, bad_certificates};
use crate::targets::Target;
use crate::{Case, Outcome, case, child};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("access_key_in_the_url", access_key_in_the_url),
        case("secret_from_a_file", secret_from_a_file),
        case("environment", environment),
        case("profile_file", profile_file),
        case("credential_process", credential_process),
        case("environment_before_profile", environment_before_profile),
        case("no_credentials", no_credentials),
        case("wrong_authority", wrong_authority),
        case("other_name_and_expired", other_name_and_expired),
        case("tls_to_a_plain_port", tls_to_a_plain_port),
        case("plain_to_a_tls_port", plain_to_a_tls_port),
    ]
}

/// The encrypted way to ElasticMQ, and its authority.
struct Front {
    endpoint: Endpoint,
    authority: Authority,
}

impl Front {
    async fn open(target: &Target) -> Self {
        let authority = Authority::new();
        let endpoint = Endpoint::open(&authority.identity("127.0.0.1"), target.port(&target.plain), "").await;
        Front { endpoint, authority }
    }

    fn url(&self, login: &str, parameters: &str) -> String {
        let (port, ca) = (self.endpoint.port, self.authority.file());
        let endpoint = format!("endpoint=https://127.0.0.1:{port}&tls_ca={}", ca.display());
        format!("sqs://{login}us-east-1?{endpoint}&topology=create&wait=1s{parameters}")
    }

    fn signed_by(&self, key: &str) -> Outcome {
        let heard = self.endpoint.heard(&format!("Credential={key}/"));
        if heard { Ok(()) } else { Err(format!("no request was signed by {key}")) }
    }
}

/// Files of the AWS tools, and the variables that name them instead of the user's own.
fn files(folder: &Path, config: &str, credentials: &str) -> [(&'static str, String); 3] {
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name).display().to_string()
    };
    [
        ("AWS_CONFIG_FILE", write("config", config)),
        ("AWS_SHARED_CREDENTIALS_FILE", write("credentials", credentials)),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}

async fn through(front: &Front, parameters: &str, variables: &[(&str, String)]) -> Outcome {
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    child::round_trip(&front.url("", parameters), &variables).await
}

async fn access_key_in_the_url(target: Arc<Target>) -> Outcome {
    let front = Front::open(&target).await;
    round_trip(&front.url("AKIDURL:hunter2@", "")).await?;
    front.signed_by("AKIDURL")
}

async fn secret_from_a_file(target: Arc<Target>) -> Outcome {
    let (front, folder) = (Front::open(&target).await, tempfile::tempdir().unwrap());
    let file = folder.path().join("secret");
    std::fs::write(&file, "hunter2\n").unwrap();
    round_trip(&front.url("AKIDFILE@", &format!("&password_file={}", file.display()))).await?;
    front.signed_by("AKIDFILE")
}

async fn environment(target: Arc<Target>) -> Outcome {
    let front = Front::open(&target).await;
    let key = ("AWS_ACCESS_KEY_ID", "AKIDENV".to_owned());
    through(&front, "", &[key, ("AWS_SECRET_ACCESS_KEY", "hunter2".to_owned())]).await?;
    front.signed_by("AKIDENV")
}

async fn profile_file(target: Arc<Target>) -> Outcome {
    let (front, folder) = (Front::open(&target).await, tempfile::tempdir().unwrap());
    let text = "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = hunter2\n\
                [shop]\naws_access_key_id = AKIDSHOP\naws_secret_access_key = hunter2\n";
    let variables = files(folder.path(), "", text);
    through(&front, "", &variables).await?;
    front.signed_by("AKIDDEFAULT")?;
    through(&front, "&profile=shop", &variables).await?;
    front.signed_by("AKIDSHOP")
}

async fn credential_process(target: Arc<Target>) -> Outcome {
    let (front, folder) = (Front::open(&target).await, tempfile::tempdir().unwrap());
    let answer = folder.path().join("answer.json");
    let text = r#"{"Version": 1, "AccessKeyId": "AKIDPROCESS", "SecretAccessKey": "hunter2"}"#;
    std::fs::write(&answer, text).unwrap();
    let config = format!("[default]\ncredential_process = cat {}\n", answer.display());
    through(&front, "", &files(folder.path(), &config, "")).await?;
    front.signed_by("AKIDPROCESS")
}

async fn environment_before_profile(target: Arc<Target>) -> Outcome {
    let (front, folder) = (Front::open(&target).await, tempfile::tempdir().unwrap());
    let text = "[default]\naws_access_key_id = AKIDLOSER\naws_secret_access_key = hunter2\n";
    let mut variables = files(folder.path(), "", text).to_vec();
    variables.push(("AWS_ACCESS_KEY_ID", "AKIDWINNER".to_owned()));
    variables.push(("AWS_SECRET_ACCESS_KEY", "hunter2".to_owned()));
    through(&front, "", &variables).await?;
    front.signed_by("AKIDWINNER")?;
    front.signed_by("AKIDLOSER").map_or(Ok(()), |()| Err("the profile signed too".to_owned()))
}

async fn no_credentials(target: Arc<Target>) -> Outcome {
    let (front, folder) = (Front::open(&target).await, tempfile::tempdir().unwrap());
    let Err(said) = through(&front, "&deadline=5s", &files(folder.path(), "", "")).await else {
        return Err("it went through".to_owned());
    };
    let helps = said.contains("permission denied") && said.contains("AWS_ACCESS_KEY_ID");
    if helps { Ok(()) } else { Err(said) }
}

async fn wrong_authority(target: Arc<Target>) -> Outcome {
    let (front, other) = (Front::open(&target).await, Authority::new());
    let words = ["certificate failed verification", "tls_ca="];
    let url = front.url("AKID:hunter2@", "");
    let ours = front.authority.file().display().to_string();
    refused(&url.replace(&ours, &other.file().display().to_string()), Kind::InvalidConfiguration, &words)
        .await?;
    // The system's authorities have not signed it either.
    refused(&url.replace(&format!("&tls_ca={ours}"), ""), Kind::InvalidConfiguration, &words).await
}

async fn other_name_and_expired(_: Arc<Target>) -> Outcome {
    let url = |port: u16, ca: &str| {
        format!("sqs://AKID:hunter2@us-east-1?endpoint=https://127.0.0.1:{port}&tls_ca={ca}")
    };
    bad_certificates("", url, ["it is for another name", "it has expired"]).await
}

async fn tls_to_a_plain_port(target: Arc<Target>) -> Outcome {
    let port = target.port(&target.plain);
    let url = format!("sqs://AKID:hunter2@us-east-1?endpoint=https://127.0.0.1:{port}");
    refused(&url, Kind::InvalidConfiguration, &["does not speak TLS"]).await
}

async fn plain_to_a_tls_port(target: Arc<Target>) -> Outcome {
    let front = Front::open(&target).await;
    let url =
        format!("sqs://AKID:hunter2@us-east-1?endpoint=http://127.0.0.1:{}&deadline=5s", front.endpoint.port);
    refused(&url, Kind::Disconnected, &[]).await
}
