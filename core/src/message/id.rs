//! Message identity.

use std::fmt;

use bytestring::ByteString;
use uuid::Uuid;

/// Identifies a message for ever: the deduplication id, and CloudEvents' `id`.
///
/// New messages get a UUID v7 (time-ordered, 74 random bits; never a process id and a counter). Messages of
/// other producers keep whatever text they carry.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageId {
    /// A UUID, the usual form.
    Uuid(Uuid),
    /// Any other text.
    Text(ByteString),
}

impl MessageId {
    /// A new, unique id (UUID v7).
    pub fn new() -> Self {
        MessageId::Uuid(Uuid::now_v7())
    }
}

impl Default for MessageId {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&str> for MessageId {
    fn from(text: &str) -> Self {
        // Only the canonical form becomes a UUID, so that every id is written back as it was read.
        match Uuid::try_parse(text) {
            Ok(uuid) if text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase()) => {
                MessageId::Uuid(uuid)
            }
            _ => MessageId::Text(text.into()),
        }
    }
}

impl From<String> for MessageId {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Uuid> for MessageId {
    fn from(uuid: Uuid) -> Self {
        MessageId::Uuid(uuid)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageId::Uuid(uuid) => uuid.fmt(f),
            MessageId::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_back_as_read() {
        for text in
            ["0190b5f0-0000-7000-8000-000000000001", "0190B5F0-0000-7000-8000-000000000001", "order 7"]
        {
            assert_eq!(MessageId::from(text).to_string(), text);
        }
    }
}
