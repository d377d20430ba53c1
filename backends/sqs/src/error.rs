//! The client's errors in the contract's terms.

use std::time::Duration;

use anybroker_core::kit::{causes, tls_failure};
use anybroker_core::{Error, Fate, Kind};
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// Amazon's own limit for using a deleted queue's name again, and for purging again.
const PAUSE: Duration = Duration::from_secs(60);

const GROUPS: &str =
    "declare it: anybroker topics create URL TOPIC --groups GROUP, or add topology=create to the URL";
const CREDENTIALS: &str =
    "check the access key: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, profile=, or sqs://ID:SECRET@region";
const RIGHTS: &str = "the identity's policy must allow the action on this queue";

/// What an error code means: what the server's own word for it is, or nothing that is known.
pub(crate) fn of_code(operation: &'static str, code: &str, text: &str) -> Error {
    // Codes come with and without a namespace, by protocol and by server.
    let short = code.rsplit(['#', '.']).next().unwrap_or(code);
    let (kind, advice) = match short {
        "QueueDoesNotExist" | "NonExistentQueue" => (Kind::NotFound, GROUPS),
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "InvalidSecurity"
        | "ExpiredToken"
        | "ExpiredTokenException" => (Kind::PermissionDenied, CREDENTIALS),
        "RequestTimeTooSkewed" | "RequestExpired" => (Kind::PermissionDenied, "set this machine's clock"),
        "AccessDenied" | "AccessDeniedException" | "OptInRequired" | "KmsAccessDenied" => {
            (Kind::PermissionDenied, RIGHTS)
        }
        "RequestThrottled"
        | "ThrottlingException"
        | "Throttling"
        | "OverLimit"
        | "KmsThrottled"
        | "SlowDown" => {
            (Kind::Throttled, "send larger batches, or let the queues have throughput per message group")
        }
        "QueueDeletedRecently" => {
            (Kind::Throttled, "SQS lets a deleted queue's name be used again after 60 s")
        }
        "PurgeQueueInProgress" => (Kind::Throttled, "SQS purges a queue once in 60 s"),
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => {
            (Kind::LeaseExpired, "it comes again, or somebody has it already")
        }
        "MessageTooLong" | "BatchRequestTooLong" => {
            (Kind::TooLarge, "keep large payloads elsewhere and send a reference")
        }
        "InternalError" | "InternalFailure" | "ServiceUnavailable" => (Kind::Disconnected, "try again"),
        _ if text.contains("MessageTooLong") => {
            (Kind::TooLarge, "keep large payloads elsewhere and send a reference")
        }
        code if code.starts_with("Invalid")
            || code.starts_with("Unsupported")
            || code.starts_with("QueueName") =>
        {
            (Kind::InvalidConfiguration, "what SQS says of it is all that is known")
        }
        _ => (Kind::Unexpected, "what SQS says of it is all that is known"),
    };
    let error = Error::new(kind, operation, format!("SQS refused: {text} ({short})")).advice(advice);
    match short {
        "QueueDeletedRecently" | "PurgeQueueInProgress" => error.with_retry_after(PAUSE),
        _ => error,
    }
}

/// What a failed request means to a caller that was doing `operation`.
pub(crate) fn typed<E, R>(operation: &'static str, error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    if let SdkError::ServiceError(service) = &error {
        let meta = service.err().meta();
        return of_code(
            operation,
            meta.code().unwrap_or("no code"),
            meta.message().unwrap_or("without a reason"),
        );
    }
    if let Some(refused) = tls_failure(operation, &causes(&error)) {
        return refused;
    }
    let (kind, text) = match &error {
        SdkError::ConstructionFailure(_) => return unsigned(operation, &error),
        SdkError::TimeoutError(_) => (Kind::TimedOut, "SQS did not answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            (Kind::TimedOut, "no connection in time")
        }
        SdkError::DispatchFailure(failure) if failure.is_io() => {
            (Kind::Disconnected, "SQS cannot be reached")
        }
        SdkError::DispatchFailure(_) if about_credentials(&error) => return unsigned(operation, &error),
        SdkError::DispatchFailure(_) => (Kind::Disconnected, "the request could not be sent"),
        _ => (Kind::Disconnected, "the answer does not read"),
    };
    let error = Error::new(kind, operation, format!("{text}: {}", DisplayErrorContext(&error)))
        .with_fate(Fate::Unknown);
    if error.to_string().to_ascii_lowercase().contains("certificate") {
        // Before anything was sent; and trying again changes nothing.
        return error.with_fate(Fate::NotApplied).with_retryable(false).advice(
            "the server's certificate must be signed by an authority of the system's, or of the file tls_ca=, for the \
             endpoint's name",
        );
    }
    error
}

/// The request never left: there was nothing to sign it with, or it cannot be built.
fn unsigned(operation: &'static str, error: &(dyn std::error::Error + 'static)) -> Error {
    let (kind, advice) = if about_credentials(error) {
        (Kind::PermissionDenied, CREDENTIALS)
    } else {
        (Kind::InvalidConfiguration, "check the URL's endpoint and region")
    };
    let text = format!("the request could not be made: {}", DisplayErrorContext(error));
    Error::new(kind, operation, text).advice(advice).with_fate(Fate::NotApplied)
}

fn about_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if text.contains("credential") || text.contains("identity") {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_kind_with_and_without_a_namespace() {
        for (code, kind) in [
            ("com.amazonaws.sqs#QueueDoesNotExist", Kind::NotFound),
            ("AWS.SimpleQueueService.NonExistentQueue", Kind::NotFound),
            ("AccessDenied", Kind::PermissionDenied),
            ("InvalidClientTokenId", Kind::PermissionDenied),
            ("RequestThrottled", Kind::Throttled),
            ("AWS.SimpleQueueService.PurgeQueueInProgress", Kind::Throttled),
            ("InvalidParameterValue", Kind::InvalidConfiguration),
            ("Nonsense", Kind::Unexpected),
        ] {
            assert_eq!(of_code("publish", code, "why").kind(), kind, "{code}");
        }
        assert_eq!(of_code("purge", "PurgeQueueInProgress", "").retry_after(), Some(PAUSE));
    }
}
