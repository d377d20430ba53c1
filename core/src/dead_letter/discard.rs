//! Removing letters.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::handled::Acknowledger;
use super::{Allowed, Filter, Handled, Letter, Letters, Summary};
use crate::error::Result;

/// How many are acknowledged at once.
const STEP: usize = 256;

/// Letters that are being discarded. Ending between two steps leaves the rest where it is.
#[derive(Debug)]
pub struct Discard {
    settler: Acknowledger,
    filter: Filter,
    began: SystemTime,
    letters: VecDeque<Letter>,
    summary: Summary,
}

impl Letters {
    /// Begins to discard the letters that are meant.
    ///
    /// # Errors
    /// `InvalidConfiguration` if the broker could not acknowledge one of them before an earlier one that stays; nothing has
    /// been done then.
    pub fn discard(&mut self, filter: &Filter, allowed: Allowed) -> Result<Discard> {
        if !allowed.repeats {
            self.check_repeats(filter, "discard")?;
        }
        let (filter, began) = (filter.clone(), SystemTime::now());
        let (letters, summary) = (VecDeque::new(), Summary::default());
        let mut discard = Discard { settler: self.settler.clone(), filter, began, letters, summary };
        discard.add(self.take(|letter| discard.filter.matches(letter)));
        Ok(discard)
    }
}

impl Discard {
    /// Discards some more; says what became of them. Nothing is left when that is nothing.
    ///
    /// # Cancel safety
    /// A cancelled call may have discarded them.
    pub async fn step(&mut self) -> Vec<Handled> {
        let letters: Vec<_> = self.letters.drain(..STEP.min(self.letters.len())).collect();
        let mut handled: Vec<_> = letters.iter().map(|letter| Handled::new(letter, None)).collect();
        let deliveries = letters.into_iter().map(Letter::into_delivery);
        self.settler.acknowledge(deliveries.zip(&mut handled).collect()).await;
        // A letter that could not be acknowledged is still there.
        handled.iter_mut().for_each(|one| one.done = one.error.is_none());
        self.summary.count(&handled);
        handled
    }

    fn add(&mut self, letters: Vec<Letter>) {
        self.summary.add(letters.len());
        self.letters.extend(letters);
    }

    /// When nothing is left: reads what the broker hands out only now, and says whether any of that is meant.
    ///
    /// # Errors
    /// As [`Letters::read`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read_on(&mut self, letters: &mut Letters) -> Result<bool> {
        let more = letters.read_on(&self.filter, self.began).await?;
        self.add(more);
        Ok(!self.letters.is_empty())
    }

    /// How far it is.
    pub fn summary(&self) -> Summary {
        self.summary
    }
}
