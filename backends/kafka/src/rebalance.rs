//! What librdkafka tells a consumer. The callbacks only note it; the consumer's loop acts on it, so that a rebalance
//! waits for deliveries without stopping the partitions that stay.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use crate::observer::Observer;

/// One thing that happened.
pub(crate) enum Event {
    /// These partitions are to become ours.
    Assign(TopicPartitionList),
    /// These are to be let go.
    Revoke(TopicPartitionList),
}

/// Notes what happens to a member of a group.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) observer: Observer,
    events: Mutex<VecDeque<Event>>,
    closing: AtomicBool,
}

impl Member {
    fn note(&self, event: Event) {
        self.observer.count();
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }

    /// What happened next.
    pub(crate) fn event(&self) -> Option<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// From now on nobody acts on what is noted: rebalances are answered at once.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

/// Tells librdkafka that the partitions are taken.
pub(crate) fn assign(consumer: &BaseConsumer<Member>, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
        _ => consumer.assign(partitions),
    }
}

/// Tells librdkafka that the partitions are let go.
pub(crate) fn unassign(consumer: &BaseConsumer<Member>, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        _ => consumer.unassign(),
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.observer.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.observer.error(error, reason);
    }
}

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let assigned = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            let answered =
                if assigned { assign(consumer, partitions) } else { unassign(consumer, partitions) };
            if let Err(error) = answered {
                tracing::debug!(%error, "a rebalance could not be answered while closing");
            }
            return;
        }
        let partitions = partitions.clone();
        self.note(if assigned { Event::Assign(partitions) } else { Event::Revoke(partitions) });
    }
}
