//! How one subscription stands.

use anybroker_core::{Error, Group, Topic};
use tokio::time::Instant;

use super::SILENCE;
use super::report::{LastError, Phase, SubscriptionHealth};
use crate::observe::{Happening, Loop, Outcome};
use crate::serve::is_gone;

/// What is known of one subscription.
#[derive(Debug, Default)]
pub(super) struct State {
    phase: Phase,
    received: Option<Instant>,
    settled: Option<Instant>,
    refused: Option<Instant>,
    error: Option<(String, Instant)>,
}

impl State {
    /// Whether it says anything about health; most that happens to messages does not.
    pub(super) fn heeds(happening: &Happening<'_>) -> bool {
        use Happening::*;
        match happening {
            Opening | Opened | Draining | Closed(_) | Beats(_) | DeadLetterRefused(_) => true,
            Settled { outcome: Outcome::DeadLettered, .. } => true,
            Settled { result: Err(error), .. } => !is_gone(error),
            _ => false,
        }
    }

    pub(super) fn note(&mut self, happening: &Happening<'_>) {
        let now = Instant::now();
        match happening {
            Happening::Opening => *self = State::default(),
            Happening::Opened => {
                self.phase = Phase::Open;
                (self.received, self.settled) = (Some(now), Some(now));
            }
            Happening::Draining => self.phase = Phase::Draining,
            Happening::Closed(error) => {
                self.phase = Phase::Closed;
                error.iter().for_each(|error| self.fail(error, now));
            }
            Happening::Beats(Loop::Receiving) => self.received = Some(now),
            Happening::Beats(Loop::Settling) => self.settled = Some(now),
            Happening::DeadLetterRefused(error) => {
                self.refused.get_or_insert(now);
                self.fail(error, now);
            }
            Happening::Settled { result: Ok(_), outcome: Outcome::DeadLettered, .. } => self.refused = None,
            Happening::Settled { result: Err(error), .. } => self.fail(error, now),
            _ => {}
        }
    }

    fn fail(&mut self, error: &Error, now: Instant) {
        self.error = Some((error.to_string(), now));
    }

    /// Whether its loops go on.
    fn is_live(&self, now: Instant) -> bool {
        let beats = |beat: Option<Instant>| beat.is_some_and(|beat| now - beat <= SILENCE);
        match self.phase {
            Phase::Opening => true,
            Phase::Open => beats(self.received) && beats(self.settled),
            Phase::Draining => beats(self.settled),
            Phase::Closed => false,
        }
    }

    pub(super) fn report(&self, topic: &Topic, group: &Group, now: Instant) -> SubscriptionHealth {
        SubscriptionHealth {
            topic: topic.clone(),
            group: group.clone(),
            phase: self.phase,
            live: self.is_live(now),
            dead_letters_refused_for: self.refused.map(|since| now - since),
            last_error: self
                .error
                .as_ref()
                .map(|(text, at)| LastError { text: text.clone(), age: now - *at }),
        }
    }
}
