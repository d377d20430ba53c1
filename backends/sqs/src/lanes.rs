//! Which messages may go into the next request.
//!
//! Requests are under way side by side, and may arrive at the server in any order. So a message group has messages in one
//! request at a time, and later ones wait for its answer.

use std::collections::{HashMap, VecDeque};

use anybroker_core::kit::Pending;

use crate::config::BATCH;
use crate::ids;

/// A message with its group.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) pending: Pending,
    pub(crate) group: String,
}

#[derive(Debug)]
enum Turn {
    /// A group whose first waiting message may go.
    Group(String),
    /// A message in a group of its own.
    Alone(Box<Parcel>),
}

/// Messages that wait to be sent.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Those of a key, in order; a group is here from its first message until nothing of it waits or is under way.
    waiting: HashMap<String, VecDeque<Parcel>>,
    /// Who may go, in the order in which they became ready.
    ready: VecDeque<Turn>,
    /// The most messages of one group in a request.
    run: usize,
}

impl Lanes {
    pub(crate) fn new(run: usize) -> Self {
        Lanes { waiting: HashMap::new(), ready: VecDeque::new(), run }
    }

    pub(crate) fn add(&mut self, pending: Pending) {
        let Some(message) = pending.message() else { return };
        let parcel = Parcel { group: ids::group(message), pending };
        if parcel.pending.message().is_some_and(|message| message.key.is_none()) {
            return self.ready.push_back(Turn::Alone(Box::new(parcel)));
        }
        if let Some(lane) = self.waiting.get_mut(&parcel.group) {
            return lane.push_back(parcel);
        }
        self.ready.push_back(Turn::Group(parcel.group.clone()));
        self.waiting.insert(parcel.group.clone(), VecDeque::from([parcel]));
    }

    /// How many groups and messages without one may go; a full request has ten.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Takes messages for a request, as long as `fits` takes them; it gets each with its place in the request. A message
    /// that it does not take stays first in line.
    pub(crate) fn take(&mut self, mut fits: impl FnMut(Parcel) -> Option<Parcel>) {
        let mut taken = 0;
        while taken < BATCH {
            match self.ready.pop_front() {
                None => return,
                Some(Turn::Alone(parcel)) => {
                    if let Some(parcel) = fits(*parcel) {
                        return self.ready.push_front(Turn::Alone(Box::new(parcel)));
                    }
                    taken += 1;
                }
                Some(Turn::Group(group)) => {
                    let (count, full) = self.take_run(&group, BATCH - taken, &mut fits);
                    taken += count;
                    if full && count == 0 {
                        return self.ready.push_front(Turn::Group(group));
                    }
                    if full {
                        return;
                    }
                }
            }
        }
    }

    /// Takes the first messages of a group; says how many, and whether the request took no more.
    fn take_run(
        &mut self,
        group: &str,
        room: usize,
        fits: &mut impl FnMut(Parcel) -> Option<Parcel>,
    ) -> (usize, bool) {
        let Some(lane) = self.waiting.get_mut(group) else { return (0, false) };
        let mut count = 0;
        while count < self.run.min(room) {
            let Some(parcel) = lane.pop_front() else { break };
            if let Some(parcel) = fits(parcel) {
                lane.push_front(parcel);
                return (count, true);
            }
            count += 1;
        }
        (count, false)
    }

    /// A group has nothing under way any more.
    pub(crate) fn done(&mut self, group: String) {
        match self.waiting.get(&group) {
            Some(lane) if lane.is_empty() => _ = self.waiting.remove(&group),
            Some(_) => self.ready.push_back(Turn::Group(group)),
            None => {}
        }
    }

    /// Everything that waits.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Pending> {
        let alone = self.ready.drain(..).filter_map(|turn| match turn {
            Turn::Alone(parcel) => Some(parcel.pending),
            Turn::Group(_) => None,
        });
        alone.chain(self.waiting.drain().flat_map(|(_, lane)| lane).map(|parcel| parcel.pending))
    }
}
