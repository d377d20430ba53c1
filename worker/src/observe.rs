//! What a worker tells those who watch it.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Delivery, Error, Group, Settled, Topic};

use crate::failure::Failure;

/// Hears what a worker does: metrics, health and test kits are made of it.
///
/// # For implementors
/// Called on the path of every message: never wait, never panic.
pub trait Observer: Send + Sync {
    /// Something has happened to a subscription's messages.
    fn observe(&self, topic: &Topic, group: &Group, happening: &Happening<'_>);

    /// How often it wants to hear what nobody tells unasked.
    fn wants(&self) -> Wants {
        Wants::default()
    }
}

/// How often an observer wants to hear what nobody tells unasked. Several observers' wishes become the most frequent of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// [`Happening::Beats`] of each loop.
    pub heartbeat: Option<Duration>,
    /// [`Happening::Lag`], for which the broker is asked.
    pub lag: Option<Duration>,
    /// [`Happening::Probed`], for which the broker is asked.
    pub probe: Option<Duration>,
}

impl Wants {
    /// What all of them together want.
    pub(crate) fn of(observers: &[Arc<dyn Observer>]) -> Self {
        let more = |one: Option<Duration>, other: Option<Duration>| one.into_iter().chain(other).min();
        observers.iter().map(|observer| observer.wants()).fold(Wants::default(), |all, one| Wants {
            heartbeat: more(all.heartbeat, one.heartbeat),
            lag: more(all.lag, one.lag),
            probe: more(all.probe, one.probe),
        })
    }
}

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Happening<'a> {
    /// The consumer is about to be opened.
    Opening,
    /// The consumer has joined its group.
    Opened,
    /// So many messages were received.
    Received(usize),
    /// A message was void before its handler began: its partition was taken away, or an earlier one of its key comes again.
    Void,
    /// A handler begins.
    Begins(&'a Delivery),
    /// A handler has ended.
    Ended {
        /// The message.
        delivery: &'a Delivery,
        /// How.
        result: Result<(), &'a Failure>,
        /// How long it took.
        took: Duration,
    },
    /// A message was settled, or could not be.
    Settled {
        /// The message.
        delivery: &'a Delivery,
        /// As what.
        outcome: Outcome,
        /// What came of it. Errors of kind `Superseded`, `Fenced` and `LeaseExpired` say that the message had been taken away
        /// and comes again, to whomever.
        result: Result<Settled, &'a Error>,
    },
    /// A message waits in this process for its next attempt.
    Waits(&'a Delivery),
    /// A dead letter could not be published; it is tried again.
    DeadLetterRefused(&'a Error),
    /// A loop goes on.
    Beats(Loop),
    /// How many messages the group has not acknowledged.
    Lag(Result<u64, &'a Error>),
    /// The broker was asked for a sign of life, which took so long.
    Probed(Result<Duration, &'a Error>),
    /// The subscription drains: nothing more is received.
    Draining,
    /// The subscription has ended.
    Closed(Option<&'a Error>),
}

/// What a subscription consists of, besides its handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loop {
    /// Takes messages from the consumer.
    Receiving,
    /// Settles what the handlers leave.
    Settling,
}

/// What a message was settled as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Acknowledged: its handler has succeeded.
    Acknowledged,
    /// Put back, to come again.
    Retried,
    /// Published to the dead letter topic.
    DeadLettered,
    /// Published to the dead letter topic without having been tried, behind an earlier one of its key.
    Parked,
    /// Acknowledged although it is hopeless, as the application asked for.
    Discarded,
}

impl Outcome {
    /// All there are.
    pub(crate) const ALL: [Outcome; 5] =
        [Outcome::Acknowledged, Outcome::Retried, Outcome::DeadLettered, Outcome::Parked, Outcome::Discarded];

    /// The outcome in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Acknowledged => "acknowledged",
            Outcome::Retried => "retried",
            Outcome::DeadLettered => "dead-lettered",
            Outcome::Parked => "parked",
            Outcome::Discarded => "discarded",
        }
    }
}
