//! The names of OpenTelemetry's conventions for messaging, and what they are the names of.

use anybroker_core::{Group, Topic};
use opentelemetry::{KeyValue, Value};

pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const SYSTEM: &str = "messaging.system";
pub(super) const OPERATION_NAME: &str = "messaging.operation.name";
pub(super) const OPERATION_TYPE: &str = "messaging.operation.type";
pub(super) const DESTINATION: &str = "messaging.destination.name";
pub(super) const PARTITION: &str = "messaging.destination.partition.id";
pub(super) const GROUP: &str = "messaging.consumer.group.name";
pub(super) const MESSAGE_ID: &str = "messaging.message.id";
pub(super) const BODY_SIZE: &str = "messaging.message.body.size";
pub(super) const BATCH: &str = "messaging.batch.message_count";

/// The messaging system.
#[derive(Clone, Copy, Debug)]
pub(super) struct System(&'static str);

impl Default for System {
    fn default() -> Self {
        System::of(None)
    }
}

impl System {
    /// The convention demands a name; a backend without one is known by ours.
    pub(super) fn of(name: Option<&'static str>) -> Self {
        System(name.unwrap_or("anybroker"))
    }

    /// What every span and measurement has.
    pub(super) fn attributes(
        self,
        name: &'static str,
        kind: &'static str,
        topic: &Topic,
        group: Option<&Group>,
    ) -> Vec<KeyValue> {
        let mut all = Vec::with_capacity(12);
        all.push(KeyValue::new(SYSTEM, self.0));
        all.push(KeyValue::new(OPERATION_NAME, name));
        all.push(KeyValue::new(OPERATION_TYPE, kind));
        all.push(KeyValue::new(DESTINATION, topic.to_string()));
        all.extend(group.map(|group| KeyValue::new(GROUP, group.to_string())));
        all
    }

    /// What the offset within a partition is called.
    pub(super) fn offset(self) -> &'static str {
        match self.0 {
            "kafka" => "messaging.kafka.offset",
            _ => "anybroker.message.offset",
        }
    }
}

/// A count as attributes have it.
pub(super) fn count(number: usize) -> Value {
    Value::I64(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A kind of error in one word.
pub(super) fn error_type(kind: &str) -> KeyValue {
    KeyValue::new(ERROR_TYPE, kind.replace(' ', "_"))
}
