//! Taking letters out of those that are held, where that keeps what holds for the others.

use std::collections::{HashMap, HashSet};

use super::{Filter, Letter, Letters};
use crate::error::{Error, Kind, Result};
use crate::message::Key;
use crate::topic::Topic;

/// What may be given up for a choice of letters, each by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// A letter may be replayed although an earlier one of its key stays: the key loses its order.
    pub gaps: bool,
    /// A letter may be chosen behind one that stays, although the broker acknowledges only in order: it comes again, and is
    /// replayed again if it is chosen again.
    pub repeats: bool,
}

impl Letters {
    /// The letters held that are meant.
    pub fn matching<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Letter> {
        self.held.iter().filter(|letter| filter.matches(letter))
    }

    /// Refuses a choice that breaks a key's order.
    pub(super) fn check_gaps(&self, filter: &Filter) -> Result<()> {
        let mut staying: HashMap<(Option<&Topic>, Key), &Letter> = HashMap::new();
        for letter in &self.held {
            let Some(key) = letter.delivery().to_key() else { continue };
            let lane = (letter.origin(), key);
            match staying.get(&lane) {
                Some(earlier) if filter.matches(letter) => {
                    let (one, before) = (name(letter), name(earlier));
                    let text = format!("{one} would overtake {before} of the key `{}`, which stays", lane.1);
                    let advice = "choose the earlier letters of the key too, discard them, or give up the order (--allow-gaps)";
                    return Err(Error::new(Kind::InvalidConfiguration, "replay", text).advice(advice));
                }
                Some(_) => {}
                None if filter.matches(letter) => {}
                None => _ = staying.insert(lane, letter),
            }
        }
        Ok(())
    }

    /// Refuses a choice that the broker could not acknowledge.
    pub(super) fn check_repeats(&self, filter: &Filter, operation: &'static str) -> Result<()> {
        if !self.in_order_only {
            return Ok(());
        }
        let mut staying: HashSet<Option<u32>> = HashSet::new();
        let mut behind = self.held.iter().filter(|letter| {
            let partition = letter.delivery().position().map(|at| at.partition);
            if filter.matches(letter) {
                return staying.contains(&partition);
            }
            staying.insert(partition);
            false
        });
        let Some(first) = behind.next() else { return Ok(()) };
        let (count, first) = (1 + behind.count(), name(first));
        let text = format!(
            "the broker acknowledges only in order, and {count} of the letters, the first of them {first}, are behind ones that stay: \
             they would come again"
        );
        let advice =
            "choose the earlier letters of their partitions too, or let them come again (--allow-repeats)";
        Err(Error::new(Kind::InvalidConfiguration, operation, text).advice(advice))
    }

    /// Takes out the letters that are meant.
    pub(super) fn take(&mut self, meant: impl Fn(&Letter) -> bool) -> Vec<Letter> {
        let held = std::mem::take(&mut self.held);
        let (taken, rest) = held.into_iter().partition(meant);
        self.held = rest;
        taken
    }
}

fn name(letter: &Letter) -> String {
    letter.id().map_or_else(|| "a letter without an id".to_owned(), |id| format!("`{id}`"))
}
