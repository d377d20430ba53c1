//! What the next transaction takes: of each partition, what has nothing undone before it.

use anybroker_core::{Settler, Standing};

use super::work::Work;

/// What waits, sorted by what can be done about it.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// To be committed, in the order in which they were done: of each key, that of its messages.
    pub(super) next: Vec<Work>,
    /// To be dropped.
    pub(super) void: Vec<Work>,
    /// What waits on.
    pub(super) behind: Vec<Work>,
}

impl Choice {
    /// Takes at most so many of what waits.
    pub(super) fn of(settler: &dyn Settler, waiting: Vec<Work>, most: usize) -> Self {
        let mut choice = Choice { next: waiting, ..Choice::default() };
        choice.narrow(settler);
        if choice.next.len() > most {
            choice.cut(settler, most);
        }
        choice
    }

    /// Leaves out what can't be committed now, until all that is left can be, with what it comes after.
    fn narrow(&mut self, settler: &dyn Settler) {
        loop {
            let tokens: Vec<_> = self.next.iter().flat_map(Work::tokens).collect();
            let mut standing = settler.standing(&tokens).into_iter();
            let (mut next, before) = (Vec::with_capacity(self.next.len()), self.next.len());
            for work in std::mem::take(&mut self.next) {
                let of_it: Vec<_> = standing.by_ref().take(work.tasks.len()).collect();
                match () {
                    () if of_it.contains(&Standing::Void) => self.void.push(work),
                    () if of_it.contains(&Standing::Behind) => self.behind.push(work),
                    () => next.push(work),
                }
            }
            self.next = next;
            if self.next.len() == before {
                break;
            }
        }
        self.next.sort_unstable_by_key(|work| work.number);
    }

    /// Leaves the later ones for another transaction; all of them are taken if what is left could not stand alone.
    fn cut(&mut self, settler: &dyn Settler, most: usize) {
        self.next.sort_by_key(|work| work.tokens().next().map(|token| (token.partition, token.sequence)));
        let later = self.next.split_off(most.max(1));
        let mut first = Choice { next: std::mem::take(&mut self.next), ..Choice::default() };
        first.narrow(settler);
        self.void.append(&mut first.void);
        let left = first.behind.into_iter().chain(later);
        match first.next.is_empty() {
            true => {
                self.next = left.collect();
                self.next.sort_unstable_by_key(|work| work.number);
            }
            false => {
                self.next = first.next;
                self.behind.extend(left);
            }
        }
    }
}
