//! The store's errors in the contract's terms.

use std::time::Duration;

use anybroker_core::{Error, Kind, Result};
use object_store::Error as Stored;

/// What a failure of the store means to a caller that was doing `operation`.
pub(super) fn typed(operation: &'static str, error: Stored) -> Error {
    let (kind, advice) = match &error {
        Stored::NotFound { .. } => (Kind::NotFound, None),
        Stored::InvalidPath { .. } | Stored::UnknownConfigurationKey { .. } => {
            (Kind::InvalidConfiguration, None)
        }
        Stored::PermissionDenied { .. } | Stored::Unauthenticated { .. } => {
            (Kind::PermissionDenied, Some("see the rights of these credentials on the store"))
        }
        Stored::NotSupported { .. } | Stored::NotImplemented { .. } => (Kind::Unsupported, None),
        // The store has tried again by itself where that could help: a service that is away ends here too.
        _ => (Kind::Disconnected, Some("see whether the store is there, and has room")),
    };
    let failed = Error::new(kind, operation, "the object store failed").with_source(error);
    match advice {
        Some(advice) => failed.advice(advice),
        None => failed,
    }
}

/// Bounds a call to the store.
pub(super) async fn within<T>(
    limit: Duration,
    operation: &'static str,
    call: impl Future<Output = object_store::Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(|error| typed(operation, error)),
        Err(_) => {
            let text = format!("the object store did not answer within {limit:?}");
            Err(Error::new(Kind::TimedOut, operation, text))
        }
    }
}
