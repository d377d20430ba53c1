//! Which message an answer is about.
//!
//! RabbitMQ returns an unroutable message and then acknowledges it. lapin hands the return to whichever message is
//! acknowledged next, and an acknowledgement of many resolves them in any order: the return may come with another
//! message's confirmation. So a return is known by its message id, and a message counts as confirmed only when no
//! answer that came in before it is left unread. That is what the mark is for: `FuturesUnordered` polls what was
//! woken first in, first out, so that a mark pushed after an answer comes out after everything woken before it.

use std::collections::HashMap;

use anybroker_core::kit::Pending;
use anybroker_core::{Error, Fate, Kind, Receipt};
use lapin::Confirmation;
use lapin::message::BasicReturnMessage;

/// A message with the broker's answer to it.
#[derive(Debug)]
pub(crate) struct Answered {
    pending: Pending,
    answer: Answer,
    /// A message that came back, not necessarily this one.
    returned: Option<Box<Returned>>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Ack,
    Nack,
    None,
}

#[derive(Debug)]
struct Returned {
    id: String,
    why: String,
}

impl Answered {
    pub(crate) fn new(pending: Pending, confirmation: Confirmation) -> Self {
        let answer = match confirmation {
            Confirmation::Ack(_) => Answer::Ack,
            Confirmation::Nack(_) => Answer::Nack,
            Confirmation::NotRequested => Answer::None,
        };
        let returned = confirmation.take_message().map(|message| Box::new(Returned::new(&message)));
        Answered { pending, answer, returned }
    }
}

impl Returned {
    fn new(message: &BasicReturnMessage) -> Self {
        let id = message.delivery.properties.message_id().as_ref().map_or("", |id| id.as_str());
        Returned { id: id.to_owned(), why: message.reply_text.to_string() }
    }
}

/// Answers on their way to becoming outcomes.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// Answered before the mark that is under way was pushed.
    marked: Vec<Answered>,
    /// Answered after it.
    later: Vec<Answered>,
    /// Returned messages by id, how often, and why.
    returned: HashMap<String, (usize, String)>,
    under_way: bool,
}

impl Outcomes {
    /// Takes an answer; says whether a mark must be pushed.
    pub(crate) fn add(&mut self, mut answered: Answered) -> bool {
        if let Some(returned) = answered.returned.take() {
            let entry = self.returned.entry(returned.id).or_insert((0, returned.why));
            entry.0 += 1;
        }
        if self.under_way {
            self.later.push(answered);
            return false;
        }
        self.marked.push(answered);
        self.under_way = true;
        true
    }

    /// The mark came out: everything answered before it is decided. Says whether another must be pushed.
    pub(crate) fn decide(&mut self) -> bool {
        for Answered { pending, answer, .. } in
            std::mem::replace(&mut self.marked, std::mem::take(&mut self.later))
        {
            match (self.returned(&pending), answer) {
                (Some(why), _) => pending.fail(unroutable(&why)),
                (None, Answer::Ack) => pending.confirm(Receipt::default()),
                (None, Answer::Nack) => pending.fail(refused()),
                (None, Answer::None) => pending.fail(unconfirmed()),
            }
        }
        self.under_way = !self.marked.is_empty();
        self.under_way
    }

    fn returned(&mut self, pending: &Pending) -> Option<String> {
        if self.returned.is_empty() {
            return None;
        }
        let id = pending.message()?.id.to_string();
        let (count, why) = self.returned.get_mut(&id)?;
        *count -= 1;
        let (left, why) = (*count, why.clone());
        if left == 0 {
            self.returned.remove(&id);
        }
        Some(why)
    }
}

fn unroutable(why: &str) -> Error {
    let text = format!("no group of the topic exists, so that nothing would keep the message ({why})");
    Error::new(Kind::NotFound, "publish", text)
        .advice("declare a group first: anybroker topics create URL TOPIC --groups GROUP")
}

/// A nack says that a queue did not take it; queues of other groups may have: <https://www.rabbitmq.com/docs/confirms>.
fn refused() -> Error {
    let text = "a queue refused the message (it is full, or has no majority of its replicas)";
    Error::new(Kind::Throttled, "publish", text).with_fate(Fate::Unknown)
}

fn unconfirmed() -> Error {
    Error::new(Kind::Unexpected, "publish", "the channel does not confirm").with_fate(Fate::Unknown)
}
