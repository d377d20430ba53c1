//! What librdkafka's background says: logs go to `tracing`, errors are remembered, and whoever polls knows whether
//! something was served.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    deserted: AtomicBool,
    last: Mutex<Option<Report>>,
}

#[derive(Debug)]
struct Report {
    code: RDKafkaErrorCode,
    reason: String,
    at: Instant,
}

/// What was reported longer ago is not taken for the reason of a failure. librdkafka repeats itself every 30 s.
const RECENT: Duration = Duration::from_secs(60);

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

    /// Whether all brokers were gone since the last call: the client may have forgotten them for good (decision 41).
    pub(crate) fn take_deserted(&self) -> bool {
        self.deserted.swap(false, Ordering::AcqRel)
    }

    /// The same, for who does not act on it himself.
    pub(crate) fn is_deserted(&self) -> bool {
        self.deserted.load(Ordering::Acquire)
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
        let Report { code, reason, .. } = last.as_ref()?;
        let hopeless = *code == RDKafkaErrorCode::AllBrokersDown || is_refusal(*code);
        hopeless.then(|| error::told(operation, *code, reason))
    }

    /// What was reported a moment ago, for an error that itself says less.
    pub(crate) fn recent(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|report| report.at.elapsed() < RECENT).map(|report| report.reason.clone())
    }
}

/// The facility of logs that say why a connection broke. A server that just hangs up is told by nothing else, and only
/// at the level of information.
const BROKEN: &str = "FAIL";

impl ConsumerContext for Observer {}

impl ClientContext for Observer {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.count();
        if facility == BROKEN {
            self.report(RDKafkaErrorCode::BrokerTransportFailure, message);
        }
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
        if code == RDKafkaErrorCode::AllBrokersDown {
            self.deserted.store(true, Ordering::Release);
        }
        if error::kind(code) == Kind::Disconnected {
            self.disturb();
        }
        self.report(code, reason);
    }
}

impl Observer {
    fn report(&self, code: RDKafkaErrorCode, reason: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        *last = match last.take() {
            // Once a login or a certificate was refused, what follows is only its consequence.
            Some(refusal) if is_refusal(refusal.code) && !is_refusal(code) => Some(refusal),
            // That all are down says nothing of why; what was reported of the last one does.
            Some(before) if code == RDKafkaErrorCode::AllBrokersDown => Some(Report { code, ..before }),
            _ => Some(Report { code, reason: reason.to_owned(), at }),
        };
    }
}

/// Whether trying again cannot help.
fn is_refusal(code: RDKafkaErrorCode) -> bool {
    code == RDKafkaErrorCode::SSL || error::kind(code) == Kind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reports: &[(RDKafkaErrorCode, &str)]) -> Error {
        let observer = Observer::default();
        for (code, reason) in reports {
            observer.error(KafkaError::Global(*code), reason);
        }
        observer.hopeless("connect").unwrap()
    }

    #[test]
    fn a_refusal_outlives_its_consequences() {
        let error = told(&[
            (RDKafkaErrorCode::SSL, "SSL handshake failed: certificate verify failed"),
            (RDKafkaErrorCode::BrokerTransportFailure, "later"),
            (RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down"),
        ]);
        assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
        assert!(error.to_string().contains("tls_ca="), "{error}");
        let error = told(&[
            (RDKafkaErrorCode::Authentication, "invalid credentials"),
            (RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down"),
        ]);
        assert_eq!(error.kind(), Kind::PermissionDenied, "{error}");
    }

    #[test]
    fn that_all_are_down_is_told_with_the_reason() {
        let error = told(&[
            (RDKafkaErrorCode::BrokerTransportFailure, "Disconnected (after 1ms in state APIVERSION_QUERY)"),
            (RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down"),
        ]);
        assert_eq!(error.kind(), Kind::Disconnected, "{error}");
        assert!(error.to_string().contains("kafka+ssl://"), "{error}");
    }
}
