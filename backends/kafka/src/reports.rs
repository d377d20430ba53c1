//! Delivery reports: which message the broker has, and which it may not have.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anybroker_core::kit::Pending;
use anybroker_core::{Error, Fate, Kind, Position, Receipt};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{ClientContext, Message as _};
use slab::Slab;

use crate::error;
use crate::observer::Observer;

/// What librdkafka has taken and not reported on. Its place in the slab travels with the message, so that a message
/// costs no allocation of ours.
#[derive(Default)]
pub(crate) struct Reports {
    pub(crate) observer: Observer,
    in_flight: Mutex<Slab<Pending>>,
}

impl Reports {
    fn in_flight(&self) -> MutexGuard<'_, Slab<Pending>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message until it is reported on.
    pub(crate) fn keep(&self, pending: Pending) -> usize {
        self.in_flight().insert(pending)
    }

    /// Takes a message back that librdkafka did not take, or that it reports on.
    pub(crate) fn take(&self, place: usize) -> Option<Pending> {
        self.in_flight().try_remove(place)
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.observer.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.observer.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        let Some(pending) = self.take(place) else { return };
        match result {
            Ok(stored) => pending.confirm(Receipt { position: position(stored), duplicate: false }),
            Err((error, _)) => pending.fail(failure(error, || self.observer.recent())),
        }
    }
}

/// Unknown where the broker took it for a repetition of one that it had: then it does not say where that is.
fn position(stored: &rdkafka::message::BorrowedMessage<'_>) -> Option<Position> {
    let offset = u64::try_from(stored.offset()).ok()?;
    Some(Position { partition: u32::try_from(stored.partition()).ok()?, offset })
}

/// A failure that the client reports after it had taken the message. Only what is found out before anything is sent
/// has certainly not been stored; `rd_kafka_message_status`, which would tell more, is not wrapped by the crate.
fn failure(error: &KafkaError, said: impl FnOnce() -> Option<String>) -> Error {
    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
    match code {
        RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition => {
            error::of_code("publish", code).advice("create it: anybroker topics create URL TOPIC")
        }
        RDKafkaErrorCode::MessageTimedOut => {
            let said = said().map(|said| format!("; the client reports: {said}")).unwrap_or_default();
            Error::new(Kind::TimedOut, "publish", format!("no confirmation in time{said}"))
                .advice("check the broker, or raise message_timeout in the URL")
                .with_fate(Fate::Unknown)
        }
        other => error::of_code("publish", other).with_fate(Fate::Unknown),
    }
}

/// A refusal by the client before it took the message: it has certainly not been stored.
pub(crate) fn refusal(error: KafkaError) -> Error {
    let code = error.rdkafka_error_code();
    let error = match code {
        Some(RDKafkaErrorCode::Fatal) => {
            let text = "the producer session has ended, and a new one is being opened";
            Error::new(Kind::Disconnected, "publish", text)
        }
        _ => error::of("publish", error),
    };
    error.with_fate(Fate::NotApplied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_found_out_locally_has_certainly_not_been_stored() {
        let fate = |code| failure(&KafkaError::MessageProduction(code), || None).fate();
        assert_eq!(fate(RDKafkaErrorCode::UnknownTopic), Fate::NotApplied);
        for code in [
            RDKafkaErrorCode::MessageTimedOut,
            RDKafkaErrorCode::MessageSizeTooLarge,
            RDKafkaErrorCode::TopicAuthorizationFailed,
            RDKafkaErrorCode::PurgeQueue,
            RDKafkaErrorCode::Fenced,
        ] {
            assert_eq!(fate(code), Fate::Unknown, "{code}");
        }
        let refused = refusal(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
        assert_eq!((refused.fate(), refused.kind()), (Fate::NotApplied, Kind::Throttled));
    }
}
