//! The client: how it reaches Glue, whom it trusts, and what it is known by.

use anybroker_core::{Error, Kind, Result, TlsFiles, kit::within};
use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_glue::Client;
use aws_sdk_glue::config::{Credentials, ProvideCredentials as _, Region, SharedHttpClient};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};

use super::GlueConfig;

/// How often a request is tried in all. Every one of ours may be: to register what is registered does nothing.
const ATTEMPTS: u32 = 3;

/// The client, once credentials are found.
pub(super) async fn client(config: &GlueConfig) -> Result<Client> {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(config.deadline.div_f64(2.0))
        .operation_timeout(config.deadline)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(config.region.clone()))
        .http_client(http(&config.tls)?)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts);
    if let Some(endpoint) = &config.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(fixed) = fixed(config) {
        loader = loader.credentials_provider(fixed);
    }
    within(config.deadline, "connect", async {
        let loaded = loader.load().await;
        let provider = loaded.credentials_provider().ok_or_else(|| missing(config))?;
        // They are kept; each request takes fresh ones when these have run out.
        provider.provide_credentials().await.map_err(|error| missing(config).with_source(error))?;
        Ok(Client::new(&loaded))
    })
    .await
}

/// The access key of the URL. An emulator on this machine is content with something that is no secret.
fn fixed(config: &GlueConfig) -> Option<Credentials> {
    match &config.access_key {
        Some((id, secret)) => {
            let token = config.session_token.as_ref().map(|token| token.expose().to_owned());
            Some(Credentials::new(id, secret.expose(), token, None, "url"))
        }
        None if config.is_local() && config.profile.is_none() => {
            Some(Credentials::new("local", "local", None, None, "placeholder"))
        }
        None => None,
    }
}

/// The HTTP client: one TLS implementation, and the given authority in place of the system's.
fn http(files: &TlsFiles) -> Result<SharedHttpClient> {
    let trusted = match &files.ca {
        Some(path) => TrustStore::empty().with_pem_certificate(TlsFiles::read(path)?),
        None => TrustStore::default(),
    };
    let unusable =
        |error| Error::new(Kind::InvalidConfiguration, "connect", "TLS cannot be set up").with_source(error);
    let context = TlsContext::builder().with_trust_store(trusted).build().map_err(unusable)?;
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
    Ok(aws_smithy_http_client::Builder::new().tls_provider(provider).tls_context(context).build_https())
}

fn missing(config: &GlueConfig) -> Error {
    let error = Error::new(Kind::PermissionDenied, "connect", "no AWS credentials were found");
    error.on(config.place()).advice(
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile=, write glue://ID:SECRET@region, or run where a \
         role is given",
    )
}
