//! A row as an entry of the log: the length of its head, the head as JSON, the payload as it is.

use std::time::SystemTime;

use anybroker_core::{Error, Kind, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::outbox::Row;

#[derive(Serialize, Deserialize)]
struct Head {
    topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attributes: Option<String>,
}

pub(super) fn encode(row: Row) -> Result<Vec<u8>> {
    let head = Head {
        topic: row.topic,
        key: row.key.map(|key| STANDARD.encode(key)),
        id: row.message_id,
        attributes: row.attributes,
    };
    let head = serde_json::to_vec(&head).map_err(|error| {
        Error::new(Kind::Unexpected, "stage", "the message cannot be written").with_source(error)
    })?;
    let length = (head.len() as u32).to_be_bytes();
    Ok([&length[..], &head, &row.payload].concat())
}

pub(super) fn decode(place: i64, at: SystemTime, entry: &[u8]) -> Result<Row> {
    let foreign = || {
        let text = "an entry of the log has the outbox's name and is not what the outbox writes";
        Error::new(Kind::Decode, "relay", text).on(format!("place {place}"))
    };
    let (length, rest) = entry.split_first_chunk::<4>().ok_or_else(foreign)?;
    let (head, payload) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(foreign)?;
    let head: Head = serde_json::from_slice(head).map_err(|error| foreign().with_source(error))?;
    let key = head.key.map(|key| STANDARD.decode(key)).transpose();
    Ok(Row {
        id: place,
        lane: 0,
        topic: head.topic,
        key: key.map_err(|error| foreign().with_source(error))?,
        message_id: head.id,
        attributes: head.attributes,
        payload: payload.to_vec(),
        staged_at: at,
    })
}

#[cfg(test)]
mod tests {
    use anybroker_core::{Message, Topic};

    use super::*;

    #[test]
    fn a_row_comes_back_and_what_is_cut_does_not() {
        let message = Message::new(&b"\x00\xff"[..]).with_key(&b"\xfe"[..]).with_header("a", "b");
        let row = Row::new(&Topic::new("orders").unwrap(), message).unwrap();
        let entry = encode(row.clone()).unwrap();
        let at = SystemTime::UNIX_EPOCH;
        assert_eq!(decode(7, at, &entry).unwrap(), Row { id: 7, ..row });
        for cut in [&entry[..3], &entry[..9]] {
            assert_eq!(decode(7, at, cut).unwrap_err().kind(), Kind::Decode);
        }
    }
}
