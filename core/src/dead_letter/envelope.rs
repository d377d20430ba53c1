//! The envelope: what a dead letter says besides the message that it is.

use std::time::SystemTime;

use super::{Reason, ReasonClass};
use crate::delivery::Delivery;
use crate::kit::publishable;
use crate::message::{MAX_NAME, Message, MessageId, Record, rfc3339};
use crate::topic::{Group, Position, Topic};

/// The headers that a dead letter has besides the message's own; what is not known is empty. Of a foreign message, what may
/// not be published is kept as `original-…` headers (an attribute `x` as `original-ce-x`).
pub const HEADERS: [&str; 11] = [
    "dead-letter-reason",
    "dead-letter-topic",
    "dead-letter-position",
    "dead-letter-group",
    "dead-letter-attempts",
    "dead-letter-time",
    "dead-letter-class",
    "dead-letter-chain",
    "dead-letter-parked-behind",
    "dead-letter-message-time",
    "dead-letter-message-id",
];

/// What a dead letter says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why it was given up.
    pub reason: Reason,
    /// The topic that it was consumed from.
    pub topic: Option<Topic>,
    /// Its position there, where the broker tells.
    pub position: Option<Position>,
    /// The group that gave it up.
    pub group: Option<Group>,
    /// How often it was tried.
    pub attempts: Option<u32>,
    /// When it was given up.
    pub time: Option<SystemTime>,
    /// When it happened, as the message says, or else when the broker took it.
    pub message_time: Option<SystemTime>,
    /// The message's id. The letter has the same, unless the broker took it for one that it has had.
    pub message_id: Option<MessageId>,
}

impl DeadLetter {
    /// An envelope that says why, and when: now.
    pub fn new(reason: Reason) -> Self {
        DeadLetter {
            reason,
            topic: None,
            position: None,
            group: None,
            attempts: None,
            time: Some(SystemTime::now()),
            message_time: None,
            message_id: None,
        }
    }

    /// The dead letter of a delivery that is given up, for who publishes it by other means than its settler: in the transaction that
    /// settles it. A delivery that is settled already does not know where it came from, nor does its letter.
    ///
    /// ```no_run
    /// # use anybroker_core::{dead_letter::DeadLetter, Delivery, Reason, ReasonClass, Result, Topic, Transaction};
    /// # async fn give_up(delivery: Delivery, transaction: &dyn Transaction) -> Result<()> {
    /// let letter = DeadLetter::letter(&delivery, &Reason::new(ReasonClass::Poison, "no such order"));
    /// transaction.publish(&Topic::new("orders.dead")?, vec![letter]).await?;
    /// transaction.settle(vec![delivery]).await
    /// # }
    /// ```
    pub fn letter(delivery: &Delivery, reason: &Reason) -> Message {
        let mut message = publishable(delivery.to_message());
        let envelope = match delivery.settler() {
            Some(settler) => Self::around(&message, delivery, reason, settler.topic(), settler.group()),
            None => DeadLetter { attempts: Some(delivery.attempt()), ..DeadLetter::new(reason.clone()) },
        };
        envelope.write(&mut message);
        message
    }

    /// The envelope of a delivery that is published as `message`.
    pub(crate) fn around(
        message: &Message,
        delivery: &Delivery,
        reason: &Reason,
        topic: &Topic,
        group: &Group,
    ) -> Self {
        DeadLetter {
            topic: Some(topic.clone()),
            position: delivery.position(),
            group: Some(group.clone()),
            attempts: Some(delivery.attempt()),
            message_time: delivery.time(),
            message_id: Some(message.id.clone()),
            ..DeadLetter::new(reason.clone())
        }
    }

    /// Puts the envelope around `message`.
    pub fn write(&self, message: &mut Message) {
        for (name, value) in HEADERS.into_iter().zip(self.values()) {
            message.headers.append(name, value);
        }
    }

    /// Reads the envelope; none if the record has none. A message that was given up twice has two: the last one counts.
    pub fn read(record: &Record) -> Option<Self> {
        let mut values = HEADERS.map(|_| None);
        for (name, value) in record.headers() {
            if let Some(at) = HEADERS.iter().position(|known| *known == name) {
                values[at] = Some(String::from_utf8_lossy(value).into_owned());
            }
        }
        if values.iter().all(Option::is_none) {
            return None;
        }
        let values = values.map(|value| value.filter(|text| !text.is_empty()));
        let [reason, topic, position, group, attempts, time, class, chain, behind, message_time, message_id] =
            values;
        let class = class.and_then(|class| class.parse::<ReasonClass>().ok());
        let chain = chain.iter().flat_map(|chain| chain.lines()).map(str::to_owned).collect();
        Some(DeadLetter {
            reason: Reason::read(class, reason.unwrap_or_default(), chain, behind.map(Into::into)),
            topic: topic.and_then(|name| name.parse().ok()),
            position: position.as_deref().and_then(read_position),
            group: group.and_then(|name| name.parse().ok()),
            attempts: attempts.and_then(|count| count.parse().ok()),
            time: time.as_deref().and_then(read_time),
            message_time: message_time.as_deref().and_then(read_time),
            message_id: message_id.map(Into::into),
        })
    }

    /// The message without the envelope: as it was when it was given up. Of two envelopes the last one is taken off.
    pub fn original(record: &Record) -> Message {
        let mut message = record.to_message();
        if let Some(id) = Self::read(record).and_then(|letter| letter.message_id) {
            message.id = id;
        }
        let mut rest: Vec<_> = HEADERS.to_vec();
        let mut kept: Vec<_> = record.headers().collect();
        for at in (0..kept.len()).rev() {
            if let Some(known) = rest.iter().position(|known| *known == kept[at].0) {
                rest.swap_remove(known);
                kept.remove(at);
            }
        }
        message.headers = Default::default();
        kept.into_iter().for_each(|(name, value)| message.headers.append(name, value));
        message
    }

    fn values(&self) -> [String; HEADERS.len()] {
        let text = |text: Option<String>| text.unwrap_or_default();
        [
            self.reason.text().to_owned(),
            text(self.topic.as_ref().map(Topic::to_string)),
            text(self.position.map(|p| format!("{}/{}", p.partition, p.offset))),
            text(self.group.as_ref().map(Group::to_string)),
            text(self.attempts.map(|attempts| attempts.to_string())),
            text(self.time.map(rfc3339)),
            text(self.reason.class().map(|class| class.to_string())),
            self.reason.chain().join("\n"),
            text(self.reason.behind().map(MessageId::to_string)),
            text(self.message_time.map(rfc3339)),
            text(self.message_id.as_ref().map(MessageId::to_string)),
        ]
    }
}

fn read_position(text: &str) -> Option<Position> {
    let (partition, offset) = text.split_once('/')?;
    Some(Position { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
}

fn read_time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(text).ok()
}

/// Another id made of `id`, which is the same each time; a new one if it would be too long to be published.
pub(crate) fn derived(id: &MessageId, what: &str) -> MessageId {
    let text = format!("{id}~{what}");
    if text.len() <= MAX_NAME { text.into() } else { MessageId::new() }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::message::RecordBuffer;

    fn at(millis: u64) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_millis(millis))
    }

    fn letter() -> DeadLetter {
        let reason = Reason::new(ReasonClass::Retryable, "no ☃").with_chain(["a".to_owned(), "b".to_owned()]);
        DeadLetter {
            reason: reason.parked_behind("m-0"),
            topic: Some(Topic::new("orders").unwrap()),
            position: Some(Position { partition: 2, offset: 17 }),
            group: Some(Group::new("billing").unwrap()),
            attempts: Some(5),
            time: at(1_700_000_000_123),
            message_time: at(1_600_000_000_000),
            message_id: Some("m-1".into()),
        }
    }

    fn message() -> Message {
        let message = Message::new(&b"\x00\xff"[..]).with_id("m-1").with_key(&b"\xfe"[..]).with_type("t");
        let message = message.with_header("twice", "1").with_header("twice", &b"\xff"[..]);
        message.with_extension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    }

    fn stored(message: &Message) -> Record {
        message.validate().unwrap();
        RecordBuffer::new().encode(message)
    }

    fn wrapped(letter: &DeadLetter, mut message: Message) -> Message {
        letter.write(&mut message);
        message
    }

    /// As [`message`], as it is read.
    fn original() -> Message {
        stored(&message()).to_message()
    }

    #[test]
    fn what_is_written_is_read_and_taken_off_again() {
        let record = stored(&wrapped(&letter(), message()));
        assert_eq!(DeadLetter::read(&record), Some(letter()));
        assert_eq!(DeadLetter::original(&record), original());
        let trace = record.extensions().find(|(name, _)| *name == "traceparent");
        assert!(trace.is_some(), "the trace of the message goes on with its dead letter");
    }

    #[test]
    fn what_is_not_known_is_read_as_such() {
        let bare =
            DeadLetter { time: None, ..DeadLetter::new(Reason::read(None, String::new(), vec![], None)) };
        let record = stored(&wrapped(&bare, message()));
        assert_eq!(DeadLetter::read(&record), Some(bare));
        assert_eq!(DeadLetter::original(&record), original());
        assert_eq!(DeadLetter::read(&stored(&message())), None);
    }

    #[test]
    fn the_last_of_two_envelopes_counts_and_is_the_one_that_comes_off() {
        let first = wrapped(&letter(), message());
        let second = DeadLetter { message_id: Some("m-1".into()), ..DeadLetter::new("again".into()) };
        let record = stored(&wrapped(&second, first.clone()));
        let read = DeadLetter::read(&record).unwrap();
        assert_eq!((read.reason.text(), read.reason.behind(), read.topic), ("again", None, None));
        assert_eq!(DeadLetter::original(&record), stored(&first).to_message());
    }

    #[test]
    fn an_envelope_of_before_the_classes_is_read() {
        let old = [
            ("dead-letter-reason", "bad"),
            ("dead-letter-topic", "orders"),
            ("dead-letter-position", ""),
            ("dead-letter-group", "billing"),
            ("dead-letter-attempts", "3"),
            ("dead-letter-time", "2026-11-26T13:00:00.000Z"),
        ];
        let message =
            old.into_iter().fold(message(), |message, (name, value)| message.with_header(name, value));
        let record = stored(&message);
        let read = DeadLetter::read(&record).unwrap();
        assert_eq!((read.reason.text(), read.reason.class(), read.attempts), ("bad", None, Some(3)));
        assert!(read.topic.is_some() && read.position.is_none() && read.time.is_some());
        assert_eq!(DeadLetter::original(&record), original());
    }

    #[test]
    fn a_letter_under_another_id_gives_the_message_its_own_back() {
        let record = stored(&wrapped(&letter(), message().with_id("m-1~2/17")));
        assert_eq!(DeadLetter::original(&record).id, "m-1".into());
    }

    #[test]
    fn a_hostile_envelope_is_read_as_far_as_it_can_be() {
        let mut message =
            message().with_header(HEADERS[0], &b"\xff\xfe"[..]).with_header(HEADERS[1], "no topic!");
        for name in &HEADERS[2..] {
            message.headers.append(*name, "\u{0}/☃\n\n");
        }
        let read = DeadLetter::read(&stored(&message)).unwrap();
        assert_eq!((read.topic, read.position, read.time, read.attempts), (None, None, None, None));
        let late = DeadLetter { time: Some(UNIX_EPOCH + Duration::from_secs(1 << 40)), ..letter() };
        assert!(DeadLetter::read(&stored(&wrapped(&late, Message::new("")))).unwrap().time.is_some());
    }
}
