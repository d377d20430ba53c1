//! A dead letter as people and programs see it.

use anybroker::dead_letter::{DeadLetter, HEADERS, Letter};
use anybroker::{MessageId, Topic};
use serde::Serialize;

use crate::commands::subscribe::render::{Line, printable, rfc3339};

/// A dead letter. What it had before it died is the message.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    reason: Option<String>,
    class: Option<&'static str>,
    chain: Vec<String>,
    parked_behind: Option<String>,
    origin: Origin,
    attempts: Option<u32>,
    dead_lettered: Option<String>,
    message_time: Option<String>,
    message: Line<'a>,
    #[serde(skip)]
    letter: &'a Letter,
}

/// Where the message died.
#[derive(Default, Serialize)]
struct Origin {
    topic: Option<String>,
    position: Option<String>,
    group: Option<String>,
}

impl<'a> Row<'a> {
    pub(super) fn of(letter: &'a Letter, topic: &'a Topic) -> Self {
        let (said, delivery) = (letter.envelope(), letter.delivery());
        let reason = said.map(|said| &said.reason);
        Row {
            reason: reason.map(|reason| reason.text().to_owned()),
            class: reason.and_then(|reason| reason.class()).map(|class| class.as_str()),
            chain: reason.map(|reason| reason.chain().to_vec()).unwrap_or_default(),
            parked_behind: reason.and_then(|reason| reason.behind()).map(MessageId::to_string),
            origin: said.map(Origin::of).unwrap_or_default(),
            attempts: said.and_then(|said| said.attempts),
            dead_lettered: said.and_then(|said| said.time).map(rfc3339),
            message_time: said.and_then(|said| said.message_time).map(rfc3339),
            message: Line::of(delivery, topic),
            letter,
        }
    }

    /// The cells of its row in the list: id, key, type, reason, origin, attempts, time.
    pub(super) fn cells(&self) -> [String; 7] {
        let id = self.letter.id().map(|id| id.to_string());
        [
            text(id.as_deref()),
            self.letter.delivery().key().map_or_else(|| "-".to_owned(), printable),
            text(self.letter.delivery().event_type()),
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
            names.iter().zip(self.cells()).map(|(name, value)| format!("{name:<10}{value}")).collect();
        let more = [("class", self.class), ("behind", self.parked_behind.as_deref())];
        let more = more.into_iter().chain(self.chain.iter().map(|cause| ("cause", Some(cause.as_str()))));
        lines.extend(
            more.filter_map(|(name, value)| Some(format!("{name:<10}{}", printable(value?.as_bytes())))),
        );
        let own = self.letter.delivery().headers().filter(|(name, _)| !HEADERS.contains(name));
        lines.extend(own.map(|(name, value)| {
            format!("{:<10}{}={}", "header", printable(name.as_bytes()), printable(value))
        }));
        lines.push(format!("{:<10}{}", "payload", printable(self.letter.delivery().payload())));
        lines.join("\n")
    }
}

impl Origin {
    fn of(letter: &DeadLetter) -> Self {
        Origin {
            topic: letter.topic.as_ref().map(Topic::to_string),
            position: letter.position.map(|at| format!("{}/{}", at.partition, at.offset)),
            group: letter.group.as_ref().map(|group| group.to_string()),
        }
    }

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
