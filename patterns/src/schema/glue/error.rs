//! The client's errors in the contract's terms.

use anybroker_core::kit::{causes, tls_failure};
use anybroker_core::{Error, Fate, Kind};
use aws_sdk_glue::error::{ProvideErrorMetadata, SdkError};

const CREDENTIALS: &str =
    "check the access key: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, profile=, or glue://ID:SECRET@region";
const RIGHTS: &str = "the identity's policy must allow on the registry and its schemas glue:GetRegistry, glue:GetSchema, \
    glue:GetSchemaVersion, to list glue:ListSchemas, to register glue:CreateSchema and glue:RegisterSchemaVersion, to set a \
    level glue:UpdateSchema";
const REGISTRY: &str = "make the registry first: aws glue create-registry --registry-name NAME, or name one that is there: \
    glue://region/NAME";
const ENDPOINT: &str = "check the region, and endpoint= if another address than Amazon's is meant";

/// What an error code means: the server's own word for it.
fn of_code(operation: &'static str, code: &str, text: &str) -> Error {
    let (kind, advice) = match code {
        "EntityNotFoundException" => (Kind::NotFound, REGISTRY),
        "AccessDeniedException" => (Kind::PermissionDenied, RIGHTS),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException" => (Kind::PermissionDenied, CREDENTIALS),
        "RequestExpired" | "RequestTimeTooSkewed" => (Kind::PermissionDenied, "set this machine's clock"),
        "InvalidInputException" | "ValidationException" => {
            (Kind::InvalidConfiguration, "check that it is a JSON Schema of 170,000 characters at most")
        }
        "ResourceNumberLimitExceededException" => {
            (Kind::InvalidConfiguration, "delete what is not needed, or have the account's quota raised")
        }
        "ThrottlingException" | "Throttling" | "ConcurrentModificationException" => {
            (Kind::Throttled, "try again")
        }
        "InternalServiceException" | "InternalFailure" | "ServiceUnavailable" => {
            (Kind::Disconnected, "try again")
        }
        "OperationTimeoutException" => (Kind::TimedOut, "try again"),
        _ => (Kind::Unexpected, ENDPOINT),
    };
    Error::new(kind, operation, format!("Glue refused: {text} ({code})")).advice(advice)
}

/// What a failed request means to a caller that was doing `operation`.
pub(super) fn typed<E, R>(operation: &'static str, place: &str, error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    read(operation, error).on(place)
}

fn read<E, R>(operation: &'static str, error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    if let SdkError::ServiceError(service) = &error {
        let meta = service.err().meta();
        // What is no Glue answers without a code.
        let code = meta.code().unwrap_or("no code, as what is no AWS answers");
        return of_code(operation, code, meta.message().unwrap_or("without a reason"));
    }
    let said = causes(&error);
    if let Some(refused) = tls_failure(operation, &said) {
        return refused;
    }
    let (kind, text, fate) = match &error {
        SdkError::ConstructionFailure(_) => {
            (Kind::InvalidConfiguration, "the request could not be made", Fate::NotApplied)
        }
        SdkError::TimeoutError(_) => (Kind::TimedOut, "Glue did not answer in time", Fate::Unknown),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            (Kind::TimedOut, "Glue did not answer in time", Fate::Unknown)
        }
        SdkError::DispatchFailure(_) => (Kind::Disconnected, "Glue cannot be reached", Fate::Unknown),
        _ => (Kind::Unexpected, "what answers there is no Glue", Fate::Unknown),
    };
    Error::new(kind, operation, format!("{text}: {said}")).with_fate(fate).advice(ENDPOINT)
}

/// Whether Glue says that there is no such thing.
pub(super) fn is_missing<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    has_code(error, "EntityNotFoundException")
}

/// Whether Glue says that it is there already.
pub(super) fn is_there<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    has_code(error, "AlreadyExistsException")
}

fn has_code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    error.as_service_error().and_then(|error| error.meta().code()) == Some(code)
}
