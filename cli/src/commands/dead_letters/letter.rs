//! A dead letter as people and programs see it.

use anybroker::kit::DEAD_LETTER_HEADERS;
use anybroker::{Delivery, MessageId, Topic};
use serde::Serialize;

use crate::commands::subscribe::render::{Line, printable};

/// A dead letter. What it had before it died is the message.
#[derive(Serialize)]
pub(super) struct Letter<'a> {
    reason: Option<String>,
    origin: Origin,
    attempts: Option<u32>,
    dead_lettered: Option<String>,
    message: Line<'a>,
    #[serde(skip)]
    delivery: &'a Delivery,
}

/// Where the message died.
#[derive(Serialize)]
struct Origin {
    topic: Option<String>,
    position: Option<String>,
    group: Option<String>,
}

impl<'a> Letter<'a> {
    pub(super) fn of(delivery: &'a Delivery, topic: &'a Topic) -> Self {
        let [reason, origin, position, group, attempts, time] =
            DEAD_LETTER_HEADERS.map(|name| header(delivery, name));
        Letter {
            reason,
            origin: Origin { topic: origin, position, group },
            attempts: attempts.and_then(|attempts| attempts.parse().ok()),
            dead_lettered: time,
            message: Line::of(delivery, topic),
            delivery,
        }
    }

    /// Whether it is the message of that id.
    pub(super) fn is(&self, id: &MessageId) -> bool {
        self.delivery.id().as_ref() == Some(id)
    }

    /// Its row in the list: id, key, type, reason, origin, attempts, time.
    pub(super) fn row(&self) -> [String; 7] {
        let id = self.delivery.id().map(|id| id.to_string());
        [
            text(id.as_deref()),
            self.delivery.key().map_or_else(|| "-".to_owned(), printable),
            text(self.delivery.event_type()),
            text(self.reason.as_deref()),
            self.origin.text(),
            self.attempts.map_or_else(|| "-".to_owned(), |attempts| attempts.to_string()),
            text(self.dead_lettered.as_deref()),
        ]
    }

    /// Everything, a line each.
    pub(super) fn text(&self) -> String {
        let names = ["id", "key", "type", "reason", "from", "attempts", "time"];
        let mut lines: Vec<_> =
            names.iter().zip(self.row()).map(|(name, value)| format!("{name:<10}{value}")).collect();
        let own = self.delivery.headers().filter(|(name, _)| !DEAD_LETTER_HEADERS.contains(name));
        lines.extend(own.map(|(name, value)| {
            format!("{:<10}{}={}", "header", printable(name.as_bytes()), printable(value))
        }));
        lines.push(format!("{:<10}{}", "payload", printable(self.delivery.payload())));
        lines.join("\n")
    }
}

impl Origin {
    fn text(&self) -> String {
        let parts = [("", &self.topic), (" ", &self.position), (" group ", &self.group)];
        let known = parts.iter().filter_map(|(before, part)| {
            let part = part.as_deref().filter(|part| !part.is_empty())?;
            Some(format!("{before}{}", printable(part.as_bytes())))
        });
        let known: String = known.collect();
        if known.is_empty() { "-".to_owned() } else { known }
    }
}

fn text(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| printable(text.as_bytes()))
}

/// The last header of that name: a message that died twice has it twice.
fn header(delivery: &Delivery, name: &str) -> Option<String> {
    let value = delivery.headers().filter(|(other, _)| *other == name).last()?.1;
    Some(String::from_utf8_lossy(value).into_owned())
}
