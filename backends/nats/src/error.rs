//! async-nats' errors in the contract's terms.

use anybroker_core::kit::{causes, tls_failure};
use anybroker_core::{Error, Fate, Kind};
use async_nats::client::RequestErrorKind;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{ConnectError, ConnectErrorKind};

/// What became of connecting.
pub(crate) fn connecting(error: ConnectError) -> Error {
    // rustls' own word is among the causes of an I/O error.
    if let Some(failure) = tls_failure("connect", &causes(&error)) {
        return failure.with_source(error);
    }
    let (kind, text, advice) = match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => (
            Kind::PermissionDenied,
            "the server refused the login",
            "check user, password, token, nkey or credentials, and the account that they belong to",
        ),
        ConnectErrorKind::Tls => (
            Kind::Disconnected,
            "no encrypted connection came about",
            "check tls_ca, tls_certificate and tls_key, and that the server speaks TLS",
        ),
        ConnectErrorKind::Dns => {
            (Kind::Disconnected, "the host name is not known", "check the host name in the URL")
        }
        ConnectErrorKind::TimedOut => (
            Kind::TimedOut,
            "the server does not answer",
            "check host and port; a server that encrypts from the first byte (handshake_first) says nothing either",
        ),
        ConnectErrorKind::ServerParse => {
            (Kind::InvalidConfiguration, "the address does not read", "it is host:port")
        }
        _ => (Kind::Disconnected, "the server cannot be reached", "check host and port, and that it runs"),
    };
    Error::new(kind, "connect", text).with_source(error).advice(advice)
}

/// What became of a request.
pub(crate) fn requesting(operation: &'static str, error: async_nats::client::RequestError) -> Error {
    match error.kind() {
        RequestErrorKind::NoResponders => no_responders(operation),
        RequestErrorKind::TimedOut => Error::new(Kind::TimedOut, operation, "the server did not answer"),
        RequestErrorKind::MaxPayloadExceeded => too_large(operation).with_source(error),
        RequestErrorKind::InvalidSubject => {
            Error::new(Kind::InvalidConfiguration, operation, "the subject is not one").with_source(error)
        }
        RequestErrorKind::Other => {
            Error::new(Kind::Disconnected, operation, "the connection ended").with_source(error)
        }
    }
}

/// A message is over the server's limit.
pub(crate) fn too_large(operation: &'static str) -> Error {
    Error::new(Kind::TooLarge, operation, "with its headers it is larger than the server takes")
        .advice("raise max_payload on the server, or keep large payloads elsewhere and send a reference")
}

/// Nobody listens on the subject: no stream has it, or JetStream is not there.
pub(crate) fn no_responders(operation: &'static str) -> Error {
    Error::new(Kind::NotFound, operation, "no stream has the subject, or JetStream is not enabled")
        .advice("create it: anybroker topics create URL TOPIC, and look at `jetstream` in the server's configuration")
        .with_fate(Fate::NotApplied)
}

/// What JetStream itself answered.
pub(crate) fn refused(operation: &'static str, error: &jetstream::Error) -> Error {
    let kind = match error.error_code() {
        ErrorCode::STREAM_NOT_FOUND | ErrorCode::CONSUMER_NOT_FOUND => Kind::NotFound,
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => Kind::Unsupported,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => Kind::TooLarge,
        ErrorCode::CLUSTER_NOT_AVAILABLE
        | ErrorCode::CLUSTER_NOT_LEADER
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED => Kind::Throttled,
        _ if error.code() == 503 => Kind::Throttled,
        _ => Kind::InvalidConfiguration,
    };
    Error::new(kind, operation, format!("JetStream refused: {error}")).with_fate(Fate::NotApplied)
}

/// Nobody answers JetStream's requests.
pub(crate) fn no_jetstream(operation: &'static str) -> Error {
    Error::new(Kind::Unsupported, operation, "JetStream does not answer")
        .advice("enable it in the server's configuration (`jetstream {}`) and for the account; nats+core:// works without")
        .with_retryable(true)
}
