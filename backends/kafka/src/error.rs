//! librdkafka's errors as the contract's.

use anybroker_core::kit::tls_failure;
use anybroker_core::{Error, Fate, Kind};
use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode};

/// The kind that a program branches on.
pub(crate) fn kind(code: RDKafkaErrorCode) -> Kind {
    use RDKafkaErrorCode::*;
    match code {
        UnknownTopic
        | UnknownPartition
        | UnknownTopicOrPartition
        | UnknownGroup
        | GroupIdNotFound
        | UnknownTopicId => Kind::NotFound,
        Authentication
        | TopicAuthorizationFailed
        | GroupAuthorizationFailed
        | ClusterAuthorizationFailed
        | TransactionalIdAuthorizationFailed
        | SaslAuthenticationFailed
        | UnsupportedSASLMechanism
        | IllegalSASLState => Kind::PermissionDenied,
        MessageSizeTooLarge | InvalidMessageSize | MessageBatchTooLarge => Kind::TooLarge,
        QueueFull | ThrottlingQuotaExceeded => Kind::Throttled,
        OperationTimedOut | RequestTimedOut | MessageTimedOut | TimedOutQueue => Kind::TimedOut,
        BrokerTransportFailure
        | AllBrokersDown
        | Resolve
        | SSL
        | NetworkException
        | BrokerDestroy
        | CoordinatorNotAvailable
        | CoordinatorLoadInProgress
        | NotCoordinator
        | WaitingForCoordinator
        | LeaderNotAvailable
        | NotLeaderForPartition
        | BrokerNotAvailable
        | ReplicaNotAvailable
        | NotEnoughReplicas
        | NotEnoughReplicasAfterAppend
        | PurgeQueue
        | PurgeInflight => Kind::Disconnected,
        Fatal | Fenced | FencedInstanceId | ProducerFenced | InvalidProducerEpoch | IllegalGeneration
        | UnknownMemberId | FencedMemberEpoch | StaleMemberEpoch | AssignmentLost | RebalanceInProgress => {
            Kind::Fenced
        }
        InvalidArgument
        | InvalidConfig
        | InvalidPartitions
        | InvalidReplicationFactor
        | InvalidTopic
        | PolicyViolation
        | InvalidGroupId
        | InvalidSessionTimeout
        | InvalidTransactionTimeout
        | InconsistentGroupProtocol => Kind::InvalidConfiguration,
        UnsupportedVersion | UnsupportedFeature | NotImplemented => Kind::Unsupported,
        _ => Kind::Unexpected,
    }
}

fn advice(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::PermissionDenied => Some("check user, password, `sasl=` and the broker's access control lists"),
        Kind::Disconnected => Some("check the address, and that the broker runs"),
        _ => None,
    }
}

/// An error of `operation` that librdkafka names by a code.
pub(crate) fn of_code(operation: &'static str, code: RDKafkaErrorCode) -> Error {
    let kind = kind(code);
    let error = Error::new(kind, operation, code.to_string());
    match advice(kind) {
        Some(advice) => error.advice(advice),
        None => error,
    }
}

/// An error of `operation` of which the client's background gave the reason, in words.
pub(crate) fn told(operation: &'static str, code: RDKafkaErrorCode, reason: &str) -> Error {
    if let Some(error) = tls_failure(operation, reason) {
        return error;
    }
    let error = of_code(operation, code).with_source(reason.to_owned());
    let error =
        if error.kind() == Kind::PermissionDenied { error.with_fate(Fate::NotApplied) } else { error };
    // A server that hangs up says no more than when it did so.
    if reason.contains("APIVERSION_QUERY") && !reason.contains("ssl://") {
        error.advice("if the port expects TLS, use the scheme kafka+ssl://")
    } else if reason.contains("in state SSL_HANDSHAKE") {
        error.advice("if the port expects no TLS, use the scheme kafka://; if the broker runs, its log says why it hung up")
    } else if reason.contains("in state UP") && !reason.contains("sasl_") {
        error.advice("if the port expects a login, write user:password@ before the host")
    } else {
        error
    }
}

/// An error of `operation` as the client library reports it.
pub(crate) fn of(operation: &'static str, error: KafkaError) -> Error {
    match error {
        // The value is not repeated: it may be a secret.
        KafkaError::ClientConfig(_, _, name, _) => {
            let text = format!("the client does not take that value for `{name}`, or does not know the name");
            Error::new(Kind::InvalidConfiguration, operation, text)
        }
        KafkaError::ClientCreation(text) => Error::new(Kind::InvalidConfiguration, operation, text),
        KafkaError::AdminOp(code) => of_code(operation, code),
        other => match other.rdkafka_error_code() {
            Some(code) => of_code(operation, code),
            None => Error::new(Kind::Unexpected, operation, other.to_string()),
        },
    }
}

/// An error that a transactional producer met.
pub(crate) fn transactional(operation: &'static str, error: &RDKafkaError) -> Error {
    let kind = kind(error.code());
    let told = Error::new(kind, operation, error.string());
    match advice(kind) {
        Some(advice) => told.advice(advice),
        None if kind == Kind::Fenced => told.advice(
            "the consumer lost a partition, or its group shares out anew at this moment; the deliveries come again",
        ),
        None => told,
    }
}

/// What has ended a transactional producer.
pub(crate) fn fatal(operation: &'static str, code: RDKafkaErrorCode, reason: &str) -> Error {
    let error = Error::new(kind(code), operation, reason);
    error.with_retryable(false).advice(match code {
        RDKafkaErrorCode::Fenced => {
            "somebody else holds the transactional id, or the broker aborted what took too long: this publisher is of no \
             use any more, and one that is opened anew takes the id"
        }
        _ => "this publisher is of no use any more: open one anew",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_kinds_a_program_can_branch_on() {
        let error = of("publish", KafkaError::MessageProduction(RDKafkaErrorCode::UnknownTopicOrPartition));
        assert_eq!(error.kind(), Kind::NotFound);
        let error = of("connect", KafkaError::AdminOp(RDKafkaErrorCode::SaslAuthenticationFailed));
        assert_eq!(error.kind(), Kind::PermissionDenied);
        assert!(error.to_string().contains("password"), "{error}");
    }

    #[test]
    fn values_of_settings_are_not_repeated() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("session.timeout.ms", "hunter2");
        let error = config.create_native_config().map(|_| ()).unwrap_err();
        let text = of("connect", error).to_string();
        assert!(text.contains("session.timeout.ms") && !text.contains("hunter2"), "{text}");
    }
}
