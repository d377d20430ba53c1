//! Offsets in a transaction: the consumer's loop leaves the commits of a partition to a transaction, until that has ended.
//!
//! The broker takes the last offset that it was sent, be it by a commit or by a transaction that commits later. So nothing
//! else may be on its way for a partition while a transaction commits it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{Head, Inputs, Part};
use anybroker_core::{Error, Kind, Result};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer, ConsumerGroupMetadata};
use tokio::sync::oneshot;

use crate::attempts::{Mark, Owner};
use crate::blocking;
use crate::commit;
use crate::fetch::Loop;
use crate::link::{Command, LoopLink};

/// A transaction asks to commit these partitions.
pub(crate) struct Enlist {
    partitions: Vec<u32>,
    answer: oneshot::Sender<Result<Stand>>,
}

/// Who the consumer is in its group, and where its partitions stand: both at one moment, so that the broker refuses the
/// offsets if a partition changes hands after it.
struct Stand {
    member: ConsumerGroupMetadata,
    places: Vec<Place>,
}

/// Where a partition stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) number: u32,
    pub(crate) generation: u32,
    /// Where it goes on when everything that the session has is done, and how often that was handed out.
    pub(crate) position: u64,
    pub(crate) attempts: u32,
    pub(crate) seen: u64,
    pub(crate) owner: Owner,
}

/// A partition of which the transaction has ended, with what it committed.
pub(crate) struct Thaw {
    number: u32,
    generation: u32,
    committed: Option<Mark>,
}

impl Loop {
    /// Answers the transactions that wait, once no commit is under way that might reach the broker after theirs.
    pub(crate) fn enlist(&mut self) {
        if self.commits.is_in_doubt() {
            return;
        }
        for enlist in std::mem::take(&mut self.commits.enlisting) {
            if enlist.answer.is_closed() {
                continue;
            }
            let taken = |number: &u32| {
                self.assignment.slots.iter().any(|slot| slot.number == *number && slot.is_frozen())
            };
            if enlist.partitions.iter().any(taken) {
                // Another transaction has one; its end wakes us.
                self.commits.enlisting.push(enlist);
                continue;
            }
            let stand = self.stand(&enlist.partitions);
            let places = stand.as_ref().map(|stand| stand.places.clone()).unwrap_or_default();
            if enlist.answer.send(stand).is_err() {
                self.thaw(places.iter().map(|place| place.thaw(None)).collect());
            }
        }
    }

    fn stand(&mut self, partitions: &[u32]) -> Result<Stand> {
        // In this order: a member that was thrown out loses its name first, and its assignment with it.
        let member = self.consumer.group_metadata();
        let ours = !self.consumer.assignment_lost() && !self.is_closing();
        let slots = self.assignment.slots.iter_mut().filter(|slot| partitions.contains(&slot.number));
        let (member, true) = (member.ok_or_else(moved)?, ours) else { return Err(moved()) };
        let places: Vec<Place> = slots.filter_map(|slot| slot.freeze()).collect();
        if places.len() < partitions.len() {
            self.thaw(places.iter().map(|place| place.thaw(None)).collect());
            return Err(moved());
        }
        Ok(Stand { member, places })
    }

    /// Commits these as before.
    pub(crate) fn thaw(&mut self, thaws: Vec<Thaw>) {
        for Thaw { number, generation, committed } in thaws {
            if let Some(slot) = self.assignment.slots.iter_mut().find(|slot| slot.number == number) {
                slot.thaw(generation, committed);
            }
        }
    }
}

impl Place {
    fn thaw(&self, committed: Option<Mark>) -> Thaw {
        Thaw { number: self.number, generation: self.generation, committed }
    }

    /// What is to be committed when the inputs are done.
    fn mark(&self, head: Head) -> Result<Mark> {
        let (offset, attempts) = match head {
            Head::At { native, attempts } => (native, attempts),
            Head::End => (self.position, self.attempts),
            Head::Gap => {
                let text = "a settled delivery comes after one of its partition that is not settled";
                return Err(Error::new(Kind::Superseded, "commit", text)
                    .advice("settle the earlier ones in the same transaction, or before"));
            }
        };
        Ok(Mark { offset, attempts, seen: self.seen, open: Some(self.owner) })
    }
}

/// What a transaction commits for one consumer.
struct Share {
    link: Arc<LoopLink>,
    places: Vec<Place>,
    marks: Vec<(u32, Mark)>,
}

/// The partitions that a transaction commits. Dropped, their consumers commit them as before.
#[derive(Default)]
pub(crate) struct Enlisted(Vec<Share>);

/// The offsets of one consumer.
pub(crate) struct Offsets {
    pub(crate) list: TopicPartitionList,
    pub(crate) member: ConsumerGroupMetadata,
}

impl Enlisted {
    /// Takes the partitions of all inputs; says what is to be committed.
    ///
    /// # Errors
    /// `Fenced`, `Closed`: one is no longer ours. `Superseded`: one has an earlier delivery that is not done. `TimedOut`:
    /// a commit under way is not answered.
    pub(crate) fn take(&mut self, inputs: &Inputs, deadline: Duration) -> Result<Vec<Offsets>> {
        inputs.parts().iter().map(|part| self.take_part(part, deadline)).collect()
    }

    fn take_part(&mut self, part: &Part, deadline: Duration) -> Result<Offsets> {
        let link = link(part)?;
        let partitions: Vec<u32> = part.partitions().into_keys().collect();
        let topic = part.session().map(|session| session.subscription().topic.clone()).ok_or_else(gone)?;
        let (answer, mut answered) = oneshot::channel();
        if !link.command(Command::Enlist(Enlist { partitions, answer })) {
            return Err(gone());
        }
        let in_time = blocking::wait(deadline, &mut answered).map(|answer| answer.map_err(|_| gone()));
        // What was given at the last moment is taken: nobody else would give it back.
        answered.close();
        let stand = in_time.unwrap_or_else(|| answered.try_recv().map_err(|_| late()));
        let Stand { member, places } = stand??;
        self.0.push(Share { link, places, marks: Vec::new() });
        let Some(share) = self.0.last_mut() else { return Err(gone()) };
        for place in &share.places {
            let head = part.head(place.number).ok_or_else(moved)?;
            share.marks.push((place.number, place.mark(head)?));
        }
        if !part.is_ours() {
            return Err(moved());
        }
        Ok(Offsets { list: commit::list(&topic, &share.marks), member })
    }

    /// The broker has all of it.
    pub(crate) fn committed(mut self) {
        for share in std::mem::take(&mut self.0) {
            let mark = |place: &Place| share.marks.iter().find(|(n, _)| *n == place.number).map(|(_, m)| *m);
            let thaws = share.places.iter().map(|place| place.thaw(mark(place))).collect();
            share.link.command(Command::Thaw(thaws));
        }
    }

    /// Nobody knows what the broker has: the consumers never commit them again.
    pub(crate) fn unknown(mut self) {
        self.0.clear();
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        for share in std::mem::take(&mut self.0) {
            let thaws = share.places.iter().map(|place| place.thaw(None)).collect();
            share.link.command(Command::Thaw(thaws));
        }
    }
}

fn link(part: &Part) -> Result<Arc<LoopLink>> {
    let link: Option<Arc<dyn Any + Send + Sync>> =
        part.session().and_then(|session| session.link()).map(|link| link as _);
    link.and_then(|link| link.downcast().ok()).ok_or_else(gone)
}

fn gone() -> Error {
    Error::new(Kind::Closed, "commit", "the consumer of a settled delivery has ended")
}

fn moved() -> Error {
    Error::new(Kind::Fenced, "commit", "the partition of a settled delivery belongs to another member now")
}

fn late() -> Error {
    let text = "the consumer of a settled delivery still waits for the broker to answer a commit";
    Error::new(Kind::TimedOut, "commit", text).advice("check that the broker runs; the deliveries come again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_where_everything_before_is_done() {
        let place =
            Place { number: 3, generation: 1, position: 20, attempts: 2, seen: 25, owner: Owner::new() };
        let mark = |offset, attempts| Mark { offset, attempts, seen: 25, open: Some(place.owner) };
        assert_eq!(place.mark(Head::End).unwrap(), mark(20, 2));
        assert_eq!(place.mark(Head::At { native: 12, attempts: 1 }).unwrap(), mark(12, 1));
        assert_eq!(place.mark(Head::Gap).unwrap_err().kind(), Kind::Superseded);
    }
}
