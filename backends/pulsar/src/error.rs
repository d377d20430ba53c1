//! The broker's errors in the contract's terms.

use anybroker_core::{Error, Fate, Kind};
use pulsar::proto::ServerError;

/// What a refusal of the broker means to a caller that was doing `operation`.
pub(crate) fn refused(operation: &'static str, code: i32, text: &str) -> Error {
    use ServerError as E;
    let code = ServerError::try_from(code).unwrap_or(E::UnknownError);
    let (kind, retryable, advice) = match code {
        E::AuthenticationError => (Kind::PermissionDenied, false, "check the token or the certificate"),
        E::AuthorizationError => {
            (Kind::PermissionDenied, false, "the role needs the permission for this topic")
        }
        E::TopicNotFound | E::SubscriptionNotFound => {
            (Kind::NotFound, false, "create it: anybroker topics create URL TOPIC --groups GROUP")
        }
        E::ConsumerBusy | E::ConsumerAssignError => {
            (Kind::Fenced, true, "another consumer has the subscription, or has it with another type")
        }
        E::InvalidTopicName | E::IncompatibleSchema | E::TopicTerminatedError => {
            (Kind::InvalidConfiguration, false, "choose another topic")
        }
        E::NotAllowedError if text.contains("max message size") => {
            (Kind::TooLarge, false, "raise maxMessageSize on the server, or keep large payloads elsewhere")
        }
        E::NotAllowedError | E::UnsupportedVersionError => {
            (Kind::InvalidConfiguration, false, "see the broker's log")
        }
        E::ProducerBlockedQuotaExceededError | E::ProducerBlockedQuotaExceededException => {
            (Kind::Throttled, true, "a group is behind and the backlog quota is used up")
        }
        E::TooManyRequests => (Kind::Throttled, true, "try again later"),
        _ => (Kind::Disconnected, true, "see the broker's log"),
    };
    let text = format!("the broker refused: {text} ({})", code.as_str_name());
    Error::new(kind, operation, text).with_retryable(retryable).advice(advice)
}

/// The connection ended while `operation` waited for its answer.
pub(crate) fn lost(operation: &'static str) -> Error {
    Error::new(Kind::Disconnected, operation, "the connection ended before the broker answered")
}

/// A message that the broker refused to store: whether that is certain is the code's to say.
pub(crate) fn not_stored(code: i32, text: &str) -> Error {
    use ServerError as E;
    let error = refused("publish", code, text);
    let certain = matches!(
        ServerError::try_from(code),
        Ok(E::NotAllowedError
            | E::ChecksumError
            | E::TopicTerminatedError
            | E::AuthorizationError
            | E::ProducerFenced)
    );
    error.with_fate(if certain { Fate::NotApplied } else { Fate::Unknown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_certain_refusal_is_not_applied() {
        assert_eq!(not_stored(ServerError::PersistenceError as i32, "bookie").fate(), Fate::Unknown);
        assert_eq!(not_stored(ServerError::ChecksumError as i32, "crc").fate(), Fate::NotApplied);
        let error = refused("connect", ServerError::AuthenticationError as i32, "no token");
        assert_eq!((error.kind(), error.is_retryable()), (Kind::PermissionDenied, false));
    }
}
