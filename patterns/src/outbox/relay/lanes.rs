//! Which lanes are due, in work, or wait after a failure.

use std::collections::{BTreeSet, HashMap};

use anybroker_core::kit::Supervision;
use tokio::task::Id;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Lanes {
    due: BTreeSet<u16>,
    busy: HashMap<Id, u16>,
    /// Until when they wait, and how long the next time.
    paused: HashMap<u16, Instant>,
    failing: HashMap<u16, Supervision>,
    last: u16,
}

impl Lanes {
    pub(super) fn due(&mut self, lane: u16) {
        self.due.insert(lane);
    }

    /// The next one after the last, so that each has its turn.
    pub(super) fn next(&mut self) -> Option<u16> {
        let free =
            |lane: &&u16| !self.paused.contains_key(*lane) && !self.busy.values().any(|busy| busy == *lane);
        let after = self.due.range(self.last.saturating_add(1)..).find(free);
        let lane = *after.or_else(|| self.due.iter().find(free))?;
        self.due.remove(&lane);
        self.last = lane;
        Some(lane)
    }

    pub(super) fn began(&mut self, lane: u16, task: Id) {
        self.busy.insert(task, lane);
    }

    pub(super) fn ended(&mut self, task: Id) -> Option<u16> {
        self.busy.remove(&task)
    }

    pub(super) fn succeeded(&mut self, lane: u16) {
        self.failing.remove(&lane);
    }

    /// It waits, longer each time, and is due then.
    pub(super) fn pause(&mut self, lane: u16) {
        let wait = self.failing.entry(lane).or_default().next_wait();
        self.paused.insert(lane, Instant::now() + wait);
        self.due.insert(lane);
    }

    pub(super) fn next_pause_ends(&self) -> Option<Instant> {
        self.paused.values().min().copied()
    }

    /// Lets those go on whose pause is over.
    pub(super) fn resume(&mut self) {
        let now = Instant::now();
        self.paused.retain(|_, until| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_has_its_turn_and_one_that_failed_waits() {
        let mut lanes = Lanes::default();
        for lane in [3, 1, 2] {
            lanes.due(lane);
        }
        assert_eq!([lanes.next(), lanes.next()], [Some(1), Some(2)]);
        lanes.due(1);
        assert_eq!(lanes.next(), Some(3), "not the first again");
        lanes.pause(1);
        assert_eq!(lanes.next(), None);
        tokio::time::sleep_until(lanes.next_pause_ends().unwrap() + Duration::from_millis(1)).await;
        lanes.resume();
        assert_eq!((lanes.next(), lanes.next_pause_ends()), (Some(1), None));
    }

    #[tokio::test]
    async fn a_lane_in_work_is_not_given_twice() {
        let mut lanes = Lanes::default();
        lanes.due(1);
        let lane = lanes.next().unwrap();
        let task = tokio::spawn(async {});
        lanes.began(lane, task.id());
        lanes.due(1);
        assert_eq!(lanes.next(), None);
        assert_eq!(lanes.ended(task.id()), Some(1));
        assert_eq!(lanes.next(), Some(1));
    }
}
