//! What SQS promises in the configuration that runs.

use std::time::Duration;

use anybroker_core::{
    Acknowledgement, AfterFailure, Basis, Certainty, Confirmation, DeadLetter, Deduplication, Delay,
    DeliveryLevel, Durability, Exclusivity, FanOut, Guarantees, Kept, Lease, Level, Limits, Redelivery,
    Replay, Row, Scope, Transactions, Unsubscribed,
};

use crate::backend::message_bytes;
use crate::config::{BATCH, SqsConfig};
use crate::topology::{FEWEST_RECEIVES, Queue, Traits};

macro_rules! guide {
    ($page:literal) => {
        concat!("https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/", $page)
    };
}

macro_rules! api {
    ($page:literal) => {
        concat!("https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/", $page)
    };
}

const LOGIC: &str = guide!("FIFO-queues-understanding-logic.html");
const ARCHITECTURE: &str = guide!("sqs-basic-architecture.html");
const BATCH_SEND: &str = api!("API_SendMessageBatch.html");
const COUNTS: &str = api!("API_ReceiveMessage.html");
const DEDUPLICATION: &str = guide!("using-messagededuplicationid-property.html");
const DELETE: &str = api!("API_DeleteMessage.html");
const DELAY: &str = guide!("sqs-delay-queues.html");
const QUEUES: &str = guide!("sqs-fifo-queues.html");
const REDRIVE: &str = guide!("sqs-dead-letter-queues.html");
const VISIBILITY: &str = guide!("sqs-visibility-timeout.html");

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-fifo.html>
const MOST_IN_FLIGHT: usize = 120_000;
/// For how long SQS knows a deduplication id.
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// What the rows are concluded from.
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a SqsConfig,
    /// The topic's queues, or the group's; none where no topic is asked about.
    pub(crate) queues: &'a [Queue],
}

impl Facts<'_> {
    pub(crate) fn guarantees(&self) -> Guarantees {
        Guarantees {
            backend: "sqs",
            version: None,
            ordering: row(Scope::Key, LOGIC).because(self.aws(
                "a key is a message group; messages without a key have groups of their own. One request at a time has messages \
                 of a group, so that none overtakes",
            )),
            order_after_redelivery: row(Kept::Yes, LOGIC).because(
                "the client keeps a failed message's group waiting, and SQS gives out nothing of a group that is in flight",
            ),
            order_across_consumers: row(Kept::Yes, LOGIC)
                .because("SQS gives out nothing more of a group while messages of it are in flight"),
            order_after_member_death: row(Kept::Yes, LOGIC)
                .because("the group waits until the visibility timeout of the dead member's messages is over"),
            order_after_failed_publish: self.after_failed_publish(),
            delivery: row(DeliveryLevel::AtLeastOnce, QUEUES).because(self.kept_for()),
            unsubscribed_publish: self
                .looked_at(Unsubscribed::Kept, ARCHITECTURE)
                .because("the queue is the topic: it keeps messages until a group is declared"),
            publish_confirmation: row(Confirmation::Confirmed, BATCH_SEND)
                .because("SQS answers for each message of a request"),
            durability_on_confirm: self.durability(),
            acknowledgement: row(Acknowledgement::Individual, DELETE),
            settlement: row(Certainty::Confirmed, DELETE).because(
                "SQS answers for each deletion; one that may have come after the visibility timeout is refused by the client, \
                 since SQS may say yes to it without deleting",
            ),
            redelivery: row(Redelivery::Flag, COUNTS).because(
                "within a session attempts are counted by the client; the receive count tells the next session how often \
                 the message was received, not how often it was tried",
            ),
            exclusivity: row(Exclusivity::Key, LOGIC)
                .because("for as long as the client extends the visibility timeout in time"),
            deduplication: row(Deduplication::Window, DEDUPLICATION)
                .because("by message id, for 5 minutes, also after the message was deleted"),
            dead_letter: row(DeadLetter::AtLeastOnce, REDRIVE).because(self.dead_lettering()),
            fan_out: self.fan_out(),
            replay: Row::new(Replay::None, Basis::Documented, DELETE)
                .because("a queue forgets what is acknowledged")
                .raise("nothing on SQS; Kafka can read again"),
            lease: row(Lease::Extendable, VISIBILITY).because(format!(
                "{:?} at a time, extended while the consumer lives; 12 h in all",
                self.config.visibility
            )),
            delay: Row::new(Delay::Redelivery, Basis::Client, DELAY)
                .because("the client keeps the message for the delay; a FIFO queue delays no single publish"),
            transactions: Row::new(Transactions::None, Basis::Documented, QUEUES)
                .because("SQS has none")
                .raise("an outbox, a deduplication id and an inbox have the same effect"),
            limits: Limits {
                message_bytes: Some(message_bytes(self.queues)),
                batch: Some(BATCH),
                in_flight: Some(MOST_IN_FLIGHT),
                deduplication_window: Some(WINDOW),
                lease: Some(self.config.lease_limit),
            },
        }
    }

    /// Another server than Amazon's is taken at the word of Amazon's documentation, and that is said.
    fn aws(&self, text: &'static str) -> String {
        match &self.config.endpoint {
            Some(_) if !self.config.is_amazon() => format!("{text} (as Amazon documents it)"),
            _ => text.to_owned(),
        }
    }

    fn traits(&self) -> impl Iterator<Item = &Traits> {
        self.queues.iter().filter_map(|queue| queue.traits.as_ref())
    }

    /// Something that depends on the queue, which exists.
    fn looked_at<T: Level>(&self, value: T, source: &'static str) -> Row<T> {
        let basis = if self.queues.is_empty() { Basis::Documented } else { Basis::Probed };
        Row::new(value, basis, source)
    }

    fn after_failed_publish(&self) -> Row<AfterFailure> {
        if self.config.key_batch > 1 {
            let text = "SQS answers for each message of a request, and one of a key may fail while a later one is stored";
            return Row::new(AfterFailure::Gap, Basis::Documented, BATCH_SEND)
                .because(text)
                .raise("leave key_batch= out of the URL");
        }
        Row::new(AfterFailure::Held, Basis::Client, BATCH_SEND)
            .because("no request has two messages of a key; unless the publisher is opened with Continue")
    }

    fn kept_for(&self) -> String {
        let retention = self.traits().filter_map(|traits| traits.retention).min();
        match retention {
            Some(seconds) => format!("for the queue's retention of {}", span(seconds)),
            None => "for the queue's retention, 4 days unless it was set".to_owned(),
        }
    }

    fn durability(&self) -> Row<Durability> {
        if self.config.is_amazon() {
            return row(Durability::Replicated, ARCHITECTURE)
                .because("stored redundantly on several servers");
        }
        let state = "state what the server at endpoint= does, if it does more: durability=fsync";
        match self.config.durability {
            Some(stated) => Row::new(stated, Basis::Stated, ARCHITECTURE).because("as durability= says"),
            None => Row::unknown(ARCHITECTURE)
                .because("another server than Amazon's; ElasticMQ keeps messages in memory")
                .raise(state),
        }
    }

    fn dead_lettering(&self) -> String {
        let text = "the envelope is confirmed before the original is deleted";
        match self.traits().filter_map(|traits| traits.redrive).min() {
            Some(count) => format!(
                "{text}; the queue's redrive policy moves what was received more than {count} times, tried or not, to its own \
                 dead letter queue, past the order"
            ),
            None => format!(
                "{text}; the queue has no redrive policy, or one of {FEWEST_RECEIVES} receives or more"
            ),
        }
    }

    fn fan_out(&self) -> Row<FanOut> {
        if self.config.groups.is_empty() {
            return Row::new(FanOut::None, Basis::Documented, QUEUES)
                .because("a queue has one group")
                .raise("fan_out=publisher&groups=a,b: the publisher sends to a queue for each group");
        }
        Row::new(FanOut::Emulated, Basis::Client, QUEUES).because(
            "the publisher sends to the queue of every group in groups=, with one deduplication id. That is not atomic: if one \
             fails, the publish fails with fate unknown, and publishing again with the same id within 5 minutes fills the gap",
        )
    }
}

fn row<T: Level>(value: T, source: &'static str) -> Row<T> {
    Row::new(value, Basis::Documented, source)
}

/// Seconds as people say them.
pub(crate) fn span(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Guarantees {
        let config = SqsConfig::from_url(&url.parse().unwrap()).unwrap();
        Facts { config: &config, queues: &[] }.guarantees()
    }

    #[test]
    fn amazon_replicates_and_nobody_knows_what_others_do() {
        assert_eq!(of("sqs://eu-west-1").durability_on_confirm.value, Durability::Replicated);
        let local = of("sqs://r?endpoint=http://127.0.0.1:9324").durability_on_confirm;
        assert_eq!((local.value, local.basis), (Durability::Memory, Basis::Unknown));
        let stated = of("sqs://r?endpoint=http://127.0.0.1:9324&durability=fsync").durability_on_confirm;
        assert_eq!((stated.value, stated.basis), (Durability::Fsync, Basis::Stated));
    }

    #[test]
    fn what_is_asked_for_by_name_shows_its_price() {
        let plain = of("sqs://r");
        assert_eq!(plain.fan_out.value, FanOut::None);
        assert_eq!(plain.order_after_failed_publish.value, AfterFailure::Held);
        assert_eq!(of("sqs://r?fan_out=publisher&groups=a,b").fan_out.value, FanOut::Emulated);
        assert_eq!(of("sqs://r?key_batch=10").order_after_failed_publish.value, AfterFailure::Gap);
    }
}
