//! The clients: how they reach SQS, whom they trust, and what they are known by.

use std::time::Duration;

use anybroker_core::{Error, Kind, Result, TlsFiles, kit::within};
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{
    BehaviorVersion, Builder, Credentials, ProvideCredentials, Region, SharedCredentialsProvider,
    SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};

use crate::config::SqsConfig;
use crate::error::typed;

/// How often a request is tried in all. Every one of ours may be: publishes carry a deduplication id.
const ATTEMPTS: u32 = 3;
/// How long the machine's own metadata service may take to answer: where there is none, nothing does.
const METADATA: Duration = Duration::from_secs(1);

/// The clients of one broker handle; they share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    /// For everything that is answered at once.
    pub(crate) client: Client,
    /// For requests that wait at the server until there are messages.
    pub(crate) polls: Client,
}

impl Cloud {
    /// Finds credentials, and sees whether SQS answers and knows them.
    pub(crate) async fn open(config: &SqsConfig) -> Result<Self> {
        let http = http(&config.tls)?;
        let credentials = credentials(config, &http).await?;
        let mut base = Builder::new()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(config.region.clone()))
            .credentials_provider(credentials)
            .http_client(http)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            // Requests have time-outs of their own, and one that waits for messages is silent on purpose.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        base.set_endpoint_url(config.endpoint.clone());
        let client = |attempt: Duration, all: Duration| {
            let timeouts =
                TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(all).build();
            Client::from_conf(base.clone().timeout_config(timeouts).build())
        };
        let deadline = config.deadline;
        let cloud = Cloud {
            client: client(deadline.div_f64(2.0), deadline),
            polls: client(config.wait + deadline, config.wait + deadline * 2),
        };
        cloud.reach(config, "connect").await?;
        Ok(cloud)
    }

    /// Not everybody may list queues; that SQS says so shows that it knows us.
    pub(crate) async fn reach(&self, config: &SqsConfig, operation: &'static str) -> Result<()> {
        let asked =
            self.client.list_queues().max_results(1).queue_name_prefix(config.prefix.as_str()).send().await;
        let Err(error) = asked else { return Ok(()) };
        let denied = error
            .as_service_error()
            .and_then(|e| e.meta().code())
            .is_some_and(|c| c.contains("AccessDenied"));
        if denied { Ok(()) } else { Err(typed(operation, error).on(config.place())) }
    }
}

/// The HTTP client: one TLS implementation, and the given authority in place of the system's.
fn http(files: &TlsFiles) -> Result<SharedHttpClient> {
    let trusted = match &files.ca {
        Some(path) => TrustStore::empty().with_pem_certificate(TlsFiles::read(path)?),
        None => TrustStore::default(),
    };
    let unusable =
        |e| Error::new(Kind::InvalidConfiguration, "connect", "TLS cannot be set up").with_source(e);
    let context = TlsContext::builder().with_trust_store(trusted).build().map_err(unusable)?;
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
    Ok(aws_smithy_http_client::Builder::new().tls_provider(provider).tls_context(context).build_https())
}

/// The access key of the URL, or what AWS's own chain finds. An emulator on this machine is content with anything, so
/// there the chain ends with something that is no secret.
async fn credentials(config: &SqsConfig, http: &SharedHttpClient) -> Result<SharedCredentialsProvider> {
    if let Some((id, secret)) = &config.access_key {
        let token = config.session_token.as_ref().map(|token| token.expose().to_owned());
        let fixed = Credentials::new(id, secret.expose(), token, None, "url");
        return Ok(SharedCredentialsProvider::new(fixed));
    }
    let places = ProviderConfig::default()
        .with_region(Some(Region::new(config.region.clone())))
        .with_http_client(http.clone());
    let found = if config.is_local() && config.profile.is_none() {
        let profiles = ProfileFileCredentialsProvider::builder().configure(&places).build();
        let chain =
            CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
                .or_else("Profile", profiles)
                .or_else("Placeholder", Credentials::new("local", "local", None, None, "placeholder"));
        SharedCredentialsProvider::new(chain)
    } else {
        let metadata = imds::Client::builder()
            .configure(&places)
            .max_attempts(1)
            .connect_timeout(METADATA)
            .read_timeout(METADATA)
            .build();
        let mut chain = DefaultCredentialsChain::builder().configure(places).imds_client(metadata);
        if let Some(profile) = &config.profile {
            chain = chain.profile_name(profile);
        }
        SharedCredentialsProvider::new(chain.region(Region::new(config.region.clone())).build().await)
    };
    within(config.deadline, "connect", async {
        found.provide_credentials().await.map(|_| ()).map_err(|e| missing(config, e))
    })
    .await?;
    Ok(found)
}

fn missing(config: &SqsConfig, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::PermissionDenied, "connect", "no AWS credentials were found").on(config.place()).with_source(error).advice(
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile=, write sqs://ID:SECRET@region, or run where a \
         role is given",
    )
}
