//! lapin's errors in the contract's terms.

use anybroker_core::kit::{causes, tls_failure};
use anybroker_core::{Error, Kind};
use lapin::ErrorKind;

/// Reply codes of AMQP 0-9-1: <https://www.rabbitmq.com/amqp-0-9-1-reference#constants>.
pub(crate) const ACCESS_REFUSED: u16 = 403;
pub(crate) const NOT_FOUND: u16 = 404;
pub(crate) const RESOURCE_LOCKED: u16 = 405;
pub(crate) const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// The reply code and text, if the broker itself refused.
pub(crate) fn reply(error: &lapin::Error) -> Option<(u16, &str)> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().as_str())),
        _ => None,
    }
}

/// The reply code, or 0 if it was not the broker that refused.
pub(crate) fn code(error: &lapin::Error) -> u16 {
    reply(error).map_or(0, |(code, _)| code)
}

/// Whether the broker refused something on a channel, which ends that and no more.
pub(crate) fn is_of_a_channel(error: &lapin::Error) -> bool {
    matches!(code(error), ACCESS_REFUSED | NOT_FOUND | RESOURCE_LOCKED | PRECONDITION_FAILED)
}

/// What the error means to a caller that was doing `operation`.
pub(crate) fn typed(operation: &'static str, error: lapin::Error) -> Error {
    let Some((code, text)) = reply(&error) else {
        return local(operation, error);
    };
    let (kind, advice) = match (code, text) {
        (ACCESS_REFUSED, _) => {
            (Kind::PermissionDenied, "check user name, password and the user's permissions")
        }
        (NOT_FOUND, _) => (Kind::NotFound, "create it: anybroker topics create URL TOPIC --groups GROUP"),
        (RESOURCE_LOCKED, _) => (Kind::PermissionDenied, "another connection holds it exclusively"),
        (PRECONDITION_FAILED, text) if text.contains("larger than") => {
            (Kind::TooLarge, "raise max_message_size on the server, or keep large payloads elsewhere")
        }
        (PRECONDITION_FAILED, _) => {
            (Kind::InvalidConfiguration, "what is there differs from what is asked for")
        }
        (NOT_ALLOWED, text) if text.contains("not found") => {
            (Kind::NotFound, "the path of the URL names the virtual host; `/` is written %2f or left out")
        }
        (NOT_ALLOWED, _) => (Kind::PermissionDenied, "the user may not use this virtual host"),
        _ => (Kind::Disconnected, "see the broker's log"),
    };
    let text = format!("the broker refused: {text} (code {code})");
    Error::new(kind, operation, text).advice(advice)
}

fn local(operation: &'static str, error: lapin::Error) -> Error {
    if let Some(refused) = tls_failure(operation, &causes(&error)) {
        return refused;
    }
    let (kind, text) = match error.kind() {
        ErrorKind::AuthProviderError(_) => (Kind::PermissionDenied, "the login failed"),
        ErrorKind::ChannelsLimitReached => (Kind::Throttled, "the connection has no channel left"),
        ErrorKind::InvalidProtocolVersion(_) | ErrorKind::ParsingError(_) => {
            (Kind::Unexpected, "the server does not speak AMQP 0-9-1 as expected")
        }
        ErrorKind::SerialisationError(_) => (Kind::Unexpected, "a frame could not be written"),
        _ => (Kind::Disconnected, "the connection is broken"),
    };
    Error::new(kind, operation, text).with_source(error)
}
