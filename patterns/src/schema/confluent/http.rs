//! Requests to the server: each within its deadline, some tried again, none answered without saying by whom.

use std::sync::atomic::{AtomicUsize, Ordering};

use anybroker_core::kit::{Supervision, causes, tls_failure};
use anybroker_core::{Error, Fate, Kind, Result, TlsFiles};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Method, Response, redirect};
use serde::de::DeserializeOwned;

use super::config::{ConfluentConfig, Login};
use super::protocol::Refusal;

const MEDIA: &str = "application/vnd.schemaregistry.v1+json";
/// The largest answer; schemas are far smaller.
const MOST_BYTES: usize = 16 << 20;

/// The way to the server.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    addresses: Vec<String>,
    /// Where the last answer came from.
    current: AtomicUsize,
    place: String,
    login: Option<HeaderValue>,
    attempts: u32,
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) operation: &'static str,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a str>,
}

/// That the server has no such thing, or does not want it.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) message: String,
}

impl Http {
    pub(super) fn new(config: &ConfluentConfig) -> Result<Self> {
        if config.addresses.is_empty() {
            return Err(invalid("there is no address of a registry"));
        }
        let builder = Client::builder()
            .timeout(config.deadline)
            .connect_timeout(config.deadline)
            // A login goes where it is meant to go; brokers are not reached through a proxy either.
            .redirect(redirect::Policy::none())
            .no_proxy();
        let client = tls(builder, &config.tls_files)?.build().map_err(unusable)?;
        Ok(Http {
            client,
            addresses: config.addresses.clone(),
            current: AtomicUsize::new(0),
            place: config.addresses.join(","),
            login: config.login.as_ref().map(authorization).transpose()?,
            attempts: config.attempts.max(1),
        })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Asks, and reads the answer; what the server refuses is an answer too.
    pub(super) async fn ask<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<Result<T, Refused>> {
        let answer = match self.send(request).await? {
            Ok(answer) => answer,
            Err(refused) => return Ok(Err(refused)),
        };
        let read = serde_json::from_slice(&answer).map_err(|error| {
            let text =
                "what answers there is no registry of schemas, or speaks another version of its protocol";
            let error = Error::new(Kind::Unexpected, request.operation, text).with_source(error);
            error.on(self.place.clone()).advice("check the path of its URL, such as /apis/ccompat/v7")
        })?;
        Ok(Ok(read))
    }

    /// All requests can be sent again: to register what is registered does nothing.
    async fn send(&self, request: Request<'_>) -> Result<Result<Vec<u8>, Refused>> {
        let (mut waits, mut attempt) = (Supervision::new(), 1);
        loop {
            let current = self.current.load(Ordering::Relaxed);
            let address = &self.addresses[current % self.addresses.len()];
            let error = match self.once(request, address).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_retryable() && attempt < self.attempts => error,
                Err(error) if attempt == 1 => return Err(error.on(address.clone())),
                Err(error) => return Err(error.on(format!("{address}, {attempt} attempts"))),
            };
            tracing::debug!(%error, address, attempt, "a registry of schemas is asked again");
            // The others of those that failed there go on to the next address, and not to the one after it.
            let next = current.wrapping_add(1);
            let _ = self.current.compare_exchange(current, next, Ordering::Relaxed, Ordering::Relaxed);
            tokio::time::sleep(waits.next_wait()).await;
            attempt += 1;
        }
    }

    async fn once(&self, request: Request<'_>, address: &str) -> Result<Result<Vec<u8>, Refused>> {
        let Request { operation, method, path, body } = request;
        let mut sent = self.client.request(method.clone(), format!("{address}{path}"));
        sent = sent.header(ACCEPT, format!("{MEDIA}, application/json"));
        if let Some(login) = &self.login {
            sent = sent.header(AUTHORIZATION, login.clone());
        }
        if let Some(body) = body {
            sent = sent.header(CONTENT_TYPE, MEDIA).body(body.to_owned());
        }
        let response = sent.send().await.map_err(|error| failed(operation, error))?;
        let status = response.status().as_u16();
        let body = read(operation, response).await?;
        if (200..300).contains(&status) {
            return Ok(Ok(body));
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
        let message = match &refusal {
            Some(Refusal { error_code, message }) => format!("{message:.1000} ({status}, code {error_code})"),
            None => format!("status {status}"),
        };
        let error = |kind, text: &str| Error::new(kind, operation, format!("{text}: {message}"));
        Err(match status {
            404 | 409 | 422 if refusal.is_some() => return Ok(Err(Refused { status, message })),
            401 => error(Kind::PermissionDenied, "the registry does not know who asks")
                .advice("check user and password, or the token"),
            403 => error(Kind::PermissionDenied, "the registry refused")
                .advice("let this login read and, to register, write its subjects"),
            404 => error(Kind::NotFound, "what answers there is no registry of schemas")
                .advice("check the path of its URL, such as /apis/ccompat/v7"),
            300..=399 => error(Kind::InvalidConfiguration, "the registry is somewhere else")
                .advice("name the address that it redirects to, such as https in place of http"),
            429 => error(Kind::Throttled, "the registry has too many requests"),
            500.. => error(Kind::Disconnected, "the registry failed"),
            _ => error(Kind::Unexpected, "the registry refused"),
        })
    }
}

async fn read(operation: &'static str, mut response: Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(operation, error))? {
        if body.len() + chunk.len() > MOST_BYTES {
            let text = format!("the answer is larger than {MOST_BYTES} bytes");
            return Err(Error::new(Kind::TooLarge, operation, text));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn failed(operation: &'static str, error: reqwest::Error) -> Error {
    let (timed_out, connecting) = (error.is_timeout(), error.is_connect());
    let said = causes(&error.without_url());
    if let Some(refused) = tls_failure(operation, &said) {
        return refused;
    }
    let (kind, text) = match (timed_out, connecting) {
        (true, _) => (Kind::TimedOut, "the registry did not answer in time"),
        (false, true) => (Kind::Disconnected, "no connection to the registry could be made"),
        (false, false) => (Kind::Disconnected, "the connection to the registry broke"),
    };
    let fate = if connecting { Fate::NotApplied } else { Fate::Unknown };
    Error::new(kind, operation, format!("{text}: {said}")).with_fate(fate)
}

fn authorization(login: &Login) -> Result<HeaderValue> {
    let text = match login {
        Login::Basic { user, password } => {
            format!("Basic {}", BASE64.encode(format!("{user}:{}", password.expose())))
        }
        Login::Token(token) => format!("Bearer {}", token.expose()),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| invalid("the token has characters in it that no header can have"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls(mut builder: ClientBuilder, files: &TlsFiles) -> Result<ClientBuilder> {
    if let Some(path) = &files.ca {
        let authorities = Certificate::from_pem_bundle(&TlsFiles::read(path)?).map_err(unusable)?;
        if authorities.is_empty() {
            let error = invalid(format!("{} has no certificate in it", path.display()));
            return Err(error.advice("it is a PEM file: -----BEGIN CERTIFICATE-----"));
        }
        builder = builder.tls_certs_only(authorities);
    }
    if let (Some(certificate), Some(key)) = (&files.certificate, &files.key) {
        let mut pem = TlsFiles::read(key)?;
        pem.push(b'\n');
        pem.extend(TlsFiles::read(certificate)?);
        builder = builder.identity(Identity::from_pem(&pem).map_err(unusable)?);
    }
    Ok(builder)
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(Kind::InvalidConfiguration, "connect", text)
}

fn unusable(error: reqwest::Error) -> Error {
    invalid(format!("TLS cannot be set up: {}", causes(&error)))
}
