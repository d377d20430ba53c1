//! What librdkafka's background says: logs go to `tracing`, errors are remembered, and whoever polls knows whether
//! something was served.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anybroker_core::{Error, Kind};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error;

/// Remembers what a client's background reported.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    served: AtomicU64,
    disturbed: AtomicBool,
    last: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Observer {
    /// Counts what was served, so that a poll that returned nothing can be told from one that had nothing.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a connection was lost since the last call.
    pub(crate) fn take_disturbed(&self) -> bool {
        self.disturbed.swap(false, Ordering::AcqRel)
    }

    /// Something happened after which the guarantees are looked at again.
    pub(crate) fn disturb(&self) {
        self.disturbed.store(true, Ordering::Release);
    }

    /// What was reported before does not count any more.
    pub(crate) fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why the cluster cannot be reached at all, if it has been found out.
    pub(crate) fn hopeless(&self, operation: &'static str) -> Option<Error> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (code, reason) = last.as_ref()?;
        let kind = error::kind(*code);
        let hopeless = matches!(code, RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::SSL)
            || kind == Kind::PermissionDenied;
        hopeless.then(|| error::of_code(operation, *code).with_source(reason.clone()))
    }
}

impl ConsumerContext for Observer {}

impl ClientContext for Observer {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.count();
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.count();
        tracing::debug!(target: "librdkafka", %error, "{reason}");
        let Some(code) = error.rdkafka_error_code() else { return };
        if error::kind(code) == Kind::Disconnected {
            self.disturb();
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Once a login was refused, that all brokers are down is only its consequence.
        let refused = last.as_ref().is_some_and(|(code, _)| error::kind(*code) == Kind::PermissionDenied);
        if !refused {
            *last = Some((code, reason.to_owned()));
        }
    }
}
