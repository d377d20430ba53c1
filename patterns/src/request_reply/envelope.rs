//! What requests and replies carry beside their payload.

use std::time::SystemTime;

use anybroker_core::{ByteString, Error, Kind, Message, MessageId, Record, Result, Topic};

const REPLY_TO: &str = "replyto";
/// CloudEvents' extension of that name.
const EXPIRY: &str = "expirytime";
/// CloudEvents' extension of that name: the event that caused this one.
const CAUSE: &str = "causationid";
const ERROR: &str = "replyerror";

/// A request's part of it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: MessageId,
    pub(super) reply_to: Topic,
    expires: Option<SystemTime>,
}

impl Call {
    /// Makes a request of a message.
    pub(super) fn write(message: &mut Message, reply_to: &Topic, expires: SystemTime) {
        set(message, REPLY_TO, reply_to.as_str());
        set(message, EXPIRY, humantime::format_rfc3339_millis(expires).to_string());
    }

    /// Reads what was received as a request.
    pub(super) fn read(record: &Record) -> Result<Self> {
        let id = record.id().ok_or_else(|| no_request("it has no id, by which its reply could be known"))?;
        let refused = |text: String| no_request(text).on(format!("message `{id}`"));
        let reply_to = attribute(record, REPLY_TO)
            .ok_or_else(|| refused(format!("nobody can be answered: it has no attribute `{REPLY_TO}`")))?;
        let reply_to = Topic::new(reply_to)
            .map_err(|error| refused(format!("its `{REPLY_TO}` cannot be a topic")).with_source(error))?;
        let expires = attribute(record, EXPIRY).map(|text| {
            humantime::parse_rfc3339(text)
                .map_err(|error| refused(format!("its `{EXPIRY}` cannot be read")).with_source(error))
        });
        let expires = expires.transpose()?;
        Ok(Call { id, reply_to, expires })
    }

    /// Whether nobody waits any more, as far as the two clocks agree.
    pub(super) fn is_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= SystemTime::now())
    }

    /// Makes the reply to it of a message.
    pub(super) fn answer(&self, mut message: Message) -> Message {
        set(&mut message, CAUSE, self.id.to_string());
        message
    }

    /// The reply that says why there is none.
    pub(super) fn refuse(&self, kind: Kind, text: String) -> Message {
        let mut message = Message::new(text).with_content_type("text/plain; charset=utf-8");
        set(&mut message, ERROR, kind.as_str());
        self.answer(message)
    }
}

/// The request that a reply belongs to.
pub(super) fn cause(reply: &Record) -> Option<MessageId> {
    attribute(reply, CAUSE).map(MessageId::from)
}

/// The error that a reply stands for, if it does.
pub(super) fn error(reply: &Record) -> Option<Error> {
    let name = attribute(reply, ERROR)?;
    let kind = KINDS.into_iter().find(|kind| kind.as_str() == name).unwrap_or(Kind::Unexpected);
    Some(Error::new(kind, "respond", String::from_utf8_lossy(reply.payload())))
}

const KINDS: [Kind; 16] = [
    Kind::Unsupported,
    Kind::InvalidConfiguration,
    Kind::Unmet,
    Kind::NotFound,
    Kind::PermissionDenied,
    Kind::TooLarge,
    Kind::Throttled,
    Kind::TimedOut,
    Kind::Disconnected,
    Kind::Fenced,
    Kind::LeaseExpired,
    Kind::Superseded,
    Kind::KeyHeld,
    Kind::Duplicate,
    Kind::Closed,
    Kind::Decode,
];

fn attribute<'a>(record: &'a Record, wanted: &str) -> Option<&'a str> {
    let (_, value) = record.extensions().find(|(name, _)| *name == wanted)?;
    std::str::from_utf8(value).ok()
}

fn set(message: &mut Message, name: &'static str, value: impl Into<ByteString>) {
    message.extensions.retain(|(had, _)| **had != *name);
    message.extensions.push((ByteString::from_static(name), value.into()));
}

fn no_request(text: impl Into<String>) -> Error {
    Error::new(Kind::Decode, "respond", text).advice("requests are published with a Requester")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anybroker_core::RecordBuffer;

    use super::*;

    fn received(message: &Message) -> Record {
        RecordBuffer::new().encode(message)
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let (topic, now) = (Topic::new("shop-replies").unwrap(), SystemTime::now());
        let mut message = Message::new("x").with_id("r-1").with_extension(REPLY_TO, "an older one");
        Call::write(&mut message, &topic, now + Duration::from_secs(60));
        let call = Call::read(&received(&message)).unwrap();
        assert_eq!((call.id.to_string(), &call.reply_to), ("r-1".to_owned(), &topic));
        assert!(!call.is_expired());
        Call::write(&mut message, &topic, now - Duration::from_millis(5));
        assert!(Call::read(&received(&message)).unwrap().is_expired());
        let reply = received(&call.answer(Message::new("y")));
        assert_eq!((cause(&reply), error(&reply).is_none()), (Some(call.id), true));
    }

    #[test]
    fn every_kind_of_error_travels() {
        let call = Call { id: "r-1".into(), reply_to: Topic::new("t").unwrap(), expires: None };
        for kind in KINDS.into_iter().chain([Kind::Unexpected]) {
            let error = error(&received(&call.refuse(kind, "no such order".to_owned()))).unwrap();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains("no such order"));
        }
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        let plain = Message::new("x").with_id("r-1");
        let cases = [
            (plain.clone(), "no attribute `replyto`"),
            (plain.clone().with_extension(REPLY_TO, "a b"), "cannot be a topic"),
            (
                plain.with_extension(REPLY_TO, "t").with_extension(EXPIRY, "soon"),
                "`expirytime` cannot be read",
            ),
        ];
        for (message, expected) in cases {
            let error = Call::read(&received(&message)).unwrap_err();
            assert_eq!(error.kind(), Kind::Decode);
            assert!(error.to_string().contains(expected) && error.to_string().contains("r-1"), "{error}");
        }
        let error = Call::read(&Record::default()).unwrap_err();
        assert!(error.to_string().contains("no id"), "{error}");
    }
}
