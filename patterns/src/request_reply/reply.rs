//! What comes back.

use std::ops::Deref;

use anybroker_core::{Record, Result, Topic};

use super::envelope;

/// A reply: the record that the responder published, which it reads as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply(Record);

impl Reply {
    /// The reply, or the error that it stands for.
    pub(super) fn of(record: Record, topic: &Topic) -> Result<Self> {
        match envelope::error(&record) {
            Some(error) => Err(error.on(format!("a request to topic `{topic}`"))),
            None => Ok(Reply(record)),
        }
    }

    /// The record.
    pub fn into_record(self) -> Record {
        self.0
    }
}

impl Deref for Reply {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.0
    }
}
