//! Which lanes are due, in work, or wait after a failure.

use std::collections::{BTreeSet, HashMap};

use anybroker_core::kit::Supervision;
use tokio::task::Id;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Lanes {
    due: BTreeSet<u16>,
    busy: HashMap<Id, Vec<u16>>,
    /// Until when they wait, and how long the next time.
    paused: HashMap<u16, Instant>,
    failing: HashMap<u16, Supervision>,
    last: u16,
}

impl Lanes {
    pub(super) fn due(&mut self, lane: u16) {
        self.due.insert(lane);
    }

    /// The next ones after the last, so that each has its turn: as many as there are for each of `tasks`.
    pub(super) fn next(&mut self, tasks: usize) -> Vec<u16> {
        let free = |lane: &u16| {
            !self.paused.contains_key(lane) && !self.busy.values().any(|busy| busy.contains(lane))
        };
        let after = self.due.range(self.last.saturating_add(1)..);
        let mut lanes: Vec<_> = after.chain(self.due.range(..=self.last)).copied().filter(free).collect();
        lanes.truncate(lanes.len().div_ceil(tasks.max(1)));
        lanes.iter().for_each(|lane| _ = self.due.remove(lane));
        self.last = lanes.last().copied().unwrap_or(self.last);
        lanes
    }

    pub(super) fn began(&mut self, lanes: Vec<u16>, task: Id) {
        self.busy.insert(task, lanes);
    }

    /// The lanes that a task had.
    pub(super) fn ended(&mut self, task: Id) -> Vec<u16> {
        self.busy.remove(&task).unwrap_or_default()
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
        assert_eq!([lanes.next(3), lanes.next(2)], [[1], [2]]);
        lanes.due(1);
        assert_eq!(lanes.next(2), [3], "not the first again");
        lanes.pause(1);
        assert_eq!(lanes.next(1), [0; 0]);
        tokio::time::sleep_until(lanes.next_pause_ends().unwrap() + Duration::from_millis(1)).await;
        lanes.resume();
        assert_eq!((lanes.next(1), lanes.next_pause_ends()), (vec![1], None));
    }

    #[test]
    fn what_is_due_is_shared_among_those_who_are_free() {
        let mut lanes = Lanes::default();
        (1..8).for_each(|lane| lanes.due(lane));
        assert_eq!([lanes.next(3), lanes.next(2), lanes.next(1)], [vec![1, 2, 3], vec![4, 5], vec![6, 7]]);
        (1..8).for_each(|lane| lanes.due(lane));
        assert_eq!(lanes.next(1), [1, 2, 3, 4, 5, 6, 7], "the only one takes all");
    }

    #[tokio::test]
    async fn a_lane_in_work_is_not_given_twice() {
        let mut lanes = Lanes::default();
        lanes.due(1);
        let next = lanes.next(1);
        let task = tokio::spawn(async {});
        lanes.began(next, task.id());
        lanes.due(1);
        assert_eq!(lanes.next(1), [0; 0]);
        assert_eq!(lanes.ended(task.id()), [1]);
        assert_eq!(lanes.next(1), [1]);
    }
}
