//! What is known of messages that a transaction has taken away.

use anybroker_core::{Delivery, Error, Settled, Token};

use super::super::desk::Desk;
use super::super::settling::view;
use super::work::Work;
use crate::observe::{Happening, Outcome};

/// A record's place in its session.
pub(super) type Place = (u32, u32, u64);

pub(super) fn place(token: Token) -> Place {
    (token.partition, token.generation, token.sequence)
}

/// What is left of messages that a transaction takes away.
pub(super) struct Seen {
    /// For the observers, if there are any.
    deliveries: Vec<(Delivery, Outcome)>,
    pub(super) places: Vec<Place>,
    pub(super) works: usize,
    pub(super) letters: usize,
}

impl Seen {
    pub(super) fn of(desk: &Desk, works: &[Work]) -> Self {
        let all = || works.iter().flat_map(|work| work.tasks.iter().map(move |task| (work, task)));
        let deliveries = match desk.is_observed() {
            true => all().map(|(work, task)| (view(desk, &task.delivery), work.outcome)).collect(),
            false => Vec::new(),
        };
        Seen {
            deliveries,
            places: all().map(|(_, task)| place(task.delivery.token())).collect(),
            works: works.len(),
            letters: works.iter().filter(|work| work.letter.is_some()).count(),
        }
    }

    pub(super) fn tell(&self, desk: &Desk, result: Result<(), &Error>) {
        for (delivery, outcome) in &self.deliveries {
            let result = result.map(|()| Settled::Confirmed);
            desk.observe(&Happening::Settled { delivery, outcome: *outcome, result });
        }
    }
}
