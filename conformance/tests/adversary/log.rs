//! A log: partitions, offsets, rewinds to what was committed, transactions.

use std::collections::VecDeque;

use anybroker_conformance::history::{
    Assign, Close, CloseCause, Event, Exclusive, Lease, LossPromise, Nothing, Order, OrderScope, Outcome,
    Position, Progress, Promises, SettleVerdict, Sketch, Start,
};

use super::dice::Dice;

const PARTITIONS: usize = 3;

/// A history of so many steps, drained.
pub(crate) fn history(seed: u64, steps: usize) -> Sketch {
    let mut log = Log::new(seed);
    for _ in 0..steps {
        log.step();
    }
    log.drain();
    log.sketch
}

fn promises() -> Promises {
    let nothing = Some(Nothing {});
    Promises {
        p1: nothing,
        p2: nothing,
        p3: Some(LossPromise::default()),
        p3p: nothing,
        p5: nothing,
        p6: Some(Lease { lease_ms: None }),
        p6b: nothing,
        p7: Some(Order { scope: OrderScope::Key }),
        p7r: Some(Order { scope: OrderScope::Partition }),
        p8: Some(Exclusive { scope: OrderScope::Partition, lease_ms: None }),
        p14: nothing,
        p15: nothing,
        p16: Some(Default::default()),
        p17: Some(Progress { within_ms: 100_000 }),
        ..Promises::default()
    }
}

struct Log {
    sketch: Sketch,
    dice: Dice,
    partitions: Vec<Vec<String>>,
    /// What each publisher has invoked and the broker has not seen.
    pending: [VecDeque<(String, usize)>; 2],
    groups: Vec<Group>,
    count: usize,
}

struct Group {
    name: &'static str,
    sessions: Vec<String>,
    reads: Vec<Reading>,
}

/// How far a group has read a partition.
#[derive(Clone, Default)]
struct Reading {
    owner: Option<String>,
    next: usize,
    acked: usize,
    committed: usize,
    held: VecDeque<(String, usize)>,
}

impl Reading {
    fn rewind(&mut self, to: usize) {
        self.next = to;
        self.acked = to;
        self.held.clear();
    }
}

impl Log {
    fn new(seed: u64) -> Self {
        let mut log = Self {
            sketch: Sketch::new(promises()),
            dice: Dice::new(seed),
            partitions: vec![Vec::new(); PARTITIONS],
            pending: [VecDeque::new(), VecDeque::new()],
            groups: Vec::new(),
            count: 0,
        };
        for name in ["g", "h"] {
            log.groups.push(Group {
                name,
                sessions: Vec::new(),
                reads: vec![Reading::default(); PARTITIONS],
            });
            log.open(log.groups.len() - 1, Start::Earliest);
        }
        log
    }

    fn record(&mut self, record: impl FnOnce(Sketch) -> Sketch) {
        let sketch = std::mem::replace(&mut self.sketch, Sketch::new(Promises::default()));
        self.sketch = record(sketch);
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{}", self.count)
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..20 => self.publish(),
            20..40 => self.store(),
            40..68 => self.deliver(),
            68..86 => self.settle(),
            86..90 => self.transaction(),
            90..92 => self.end_session(),
            92..95 => self.rebalance(),
            95..97 => {
                let group = self.dice.below(2);
                self.open(group, Start::Resume);
            }
            97..99 => self.fault(),
            _ => {
                let millis = self.dice.below(50) as u64;
                self.record(|it| it.wait(millis));
            }
        }
    }

    fn publish(&mut self) {
        let (m, publisher, key) = (self.fresh("m"), self.dice.below(2), self.dice.below(6));
        self.pending[publisher].push_back((m.clone(), key % PARTITIONS));
        let keyed = !self.dice.chance(10);
        self.record(|it| {
            it.publish_as(&m, |publish| {
                publish.publisher = format!("p{publisher}").into();
                publish.key = keyed.then(|| format!("k{key}").into());
            })
        });
    }

    fn store(&mut self) {
        let publisher = self.dice.below(2);
        let Some((m, partition)) = self.pending[publisher].pop_front() else { return };
        let outcome = match self.dice.below(10) {
            0 => return self.record(|it| it.published(&m, Outcome::Failed)),
            1 => return self.record(|it| it.published(&m, Outcome::Unknown)),
            2 => None,
            3 => Some(Outcome::Unknown),
            _ => Some(Outcome::Ok),
        };
        let offset = self.append(partition, &m);
        if let Some(outcome) = outcome {
            self.record(|it| {
                it.published_as(&m, |published| {
                    published.outcome = outcome;
                    published.position = (outcome == Outcome::Ok).then_some(at(partition, offset));
                })
            });
        }
    }

    fn append(&mut self, partition: usize, m: &str) -> usize {
        self.partitions[partition].push(m.to_owned());
        self.partitions[partition].len() - 1
    }

    fn deliver(&mut self) {
        let (group, partition) = (self.dice.below(2), self.dice.below(PARTITIONS));
        self.deliver_next(group, partition);
    }

    fn deliver_next(&mut self, group: usize, partition: usize) -> bool {
        let reading = self.groups[group].reads[partition].clone();
        let (Some(owner), Some(m)) = (reading.owner, self.partitions[partition].get(reading.next).cloned())
        else {
            return false;
        };
        let d = self.fresh("d");
        let reading = &mut self.groups[group].reads[partition];
        let offset = reading.next;
        reading.next += 1;
        reading.held.push_back((d.clone(), offset));
        self.record(|it| it.deliver_as(&d, &m, &owner, |it| it.position = Some(at(partition, offset))));
        true
    }

    fn settle(&mut self) {
        let (group, partition) = (self.dice.below(2), self.dice.below(PARTITIONS));
        match self.dice.below(10) {
            0 | 1 => self.nack(group, partition),
            2 => self.ack(group, partition, false),
            _ => self.ack(group, partition, true),
        }
    }

    fn ack(&mut self, group: usize, partition: usize, confirmed: bool) {
        let applied = confirmed || self.dice.chance(50);
        let reading = &mut self.groups[group].reads[partition];
        let Some((d, offset)) = reading.held.pop_front() else { return };
        reading.acked = offset + 1;
        if applied {
            reading.committed = offset + 1;
        }
        self.record(|it| it.ack(&d));
        if confirmed {
            self.record(|it| it.settled(&d, Outcome::Ok));
        }
    }

    fn nack(&mut self, group: usize, partition: usize) {
        let reading = &mut self.groups[group].reads[partition];
        let Some((d, offset)) = reading.held.pop_front() else { return };
        reading.rewind(offset);
        self.record(|it| it.nack(&d).settled(&d, Outcome::Ok));
    }

    /// A transaction of a publisher of its own, that may settle what group g holds longest in a partition.
    fn transaction(&mut self) {
        let (x, input) = (self.fresh("x"), self.dice.below(PARTITIONS));
        self.record(|it| it.begin(&x));
        let mut records = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let (m, key) = (self.fresh("m"), self.dice.below(6));
            self.record(|it| {
                it.publish_as(&m, |publish| {
                    publish.publisher = "tx".into();
                    publish.key = Some(format!("k{key}").into());
                    publish.transaction = Some(x.clone().into());
                })
            });
            records.push((m, key % PARTITIONS));
        }
        let settled = self.groups[0].reads[input].held.pop_front();
        if let Some((d, _)) = &settled {
            let inside = |it: Sketch| {
                it.settle_as(d, SettleVerdict::Ack, |it| it.transaction = Some(x.clone().into()))
            };
            self.record(inside);
        }
        let committed = self.end_transaction(&x);
        if committed {
            for (m, partition) in &records {
                self.append(*partition, m);
            }
        }
        if let Some((_, offset)) = settled {
            let reading = &mut self.groups[0].reads[input];
            if committed {
                (reading.acked, reading.committed) = (offset + 1, offset + 1);
            } else {
                reading.rewind(offset);
            }
        }
    }

    /// Ends a transaction somehow, and says whether it was committed.
    fn end_transaction(&mut self, x: &str) -> bool {
        let choice = self.dice.below(7);
        self.record(|it| match choice {
            0 => it.abort(x).transaction_end(x, Outcome::Ok),
            1 => it.commit(x).transaction_end(x, Outcome::Failed),
            2 | 3 => it.commit(x).transaction_end(x, Outcome::Unknown),
            4 => it.commit(x),
            _ => it.commit(x).transaction_end(x, Outcome::Ok),
        });
        choice > 2
    }

    fn open(&mut self, group: usize, start: Start) {
        let session = self.fresh("s");
        let name = self.groups[group].name;
        self.record(|it| {
            it.open_as(&session, |open| {
                open.group = name.into();
                open.start = start;
            })
        });
        self.groups[group].sessions.push(session);
        self.give_out(group);
    }

    /// Assigns the partitions that nobody has.
    fn give_out(&mut self, group: usize) {
        for partition in 0..PARTITIONS {
            if self.groups[group].reads[partition].owner.is_none()
                && let Some(session) = self.dice.pick(&self.groups[group].sessions)
            {
                let reading = &mut self.groups[group].reads[partition];
                reading.owner = Some(session.clone());
                reading.rewind(reading.committed);
                self.record(|it| it.event(Event::Assign(partitions(&session, partition))));
            }
        }
    }

    fn end_session(&mut self) {
        let group = self.dice.below(2);
        let Some(session) = self.dice.pick(&self.groups[group].sessions) else { return };
        let cause =
            self.dice.pick(&[CloseCause::Closed, CloseCause::Killed, CloseCause::Disconnected]).unwrap();
        self.groups[group].sessions.retain(|other| *other != session);
        let mut stale = None;
        for reading in &mut self.groups[group].reads {
            if reading.owner.as_ref() == Some(&session) {
                reading.owner = None;
                stale = stale.or(reading.held.front().cloned());
                if cause == CloseCause::Closed {
                    reading.committed = reading.committed.max(reading.acked);
                }
                reading.rewind(reading.committed);
            }
        }
        self.record(|it| it.event(Event::Close(Close { session: session.into(), cause })));
        if let Some((d, _)) = stale.filter(|_| self.dice.chance(50)) {
            self.record(|it| it.ack(&d).settled(&d, Outcome::Failed));
        }
        self.give_out(group);
    }

    fn rebalance(&mut self) {
        let (group, partition) = (self.dice.below(2), self.dice.below(PARTITIONS));
        let reading = &mut self.groups[group].reads[partition];
        let Some(owner) = reading.owner.take() else { return };
        reading.committed = reading.committed.max(reading.acked);
        reading.rewind(reading.committed);
        self.record(|it| it.event(Event::Revoke(partitions(&owner, partition))));
        self.give_out(group);
    }

    fn fault(&mut self) {
        self.record(|it| it.fault("kill").fault("restart"));
        for group in 0..2 {
            for partition in 0..PARTITIONS {
                if self.dice.chance(50) {
                    let reading = &mut self.groups[group].reads[partition];
                    reading.rewind(reading.committed);
                }
            }
        }
    }

    fn drain(&mut self) {
        for publisher in 0..2 {
            while !self.pending[publisher].is_empty() {
                self.store_from(publisher);
            }
        }
        self.record(|it| it.fault("heal"));
        for partition in 0..PARTITIONS {
            let m = self.fresh("sentinel");
            self.record(|it| it.publish_as(&m, |publish| publish.sentinel = Some(true)));
            let offset = self.append(partition, &m);
            self.record(|it| {
                it.published_as(&m, |published| published.position = Some(at(partition, offset)))
            });
        }
        for group in 0..2 {
            self.open(group, Start::Resume);
            for partition in 0..PARTITIONS {
                while self.deliver_next(group, partition) {}
                while !self.groups[group].reads[partition].held.is_empty() {
                    self.ack(group, partition, true);
                }
            }
            let name = self.groups[group].name;
            self.record(|it| it.drained_as(name, "t"));
        }
    }

    fn store_from(&mut self, publisher: usize) {
        if let Some((m, partition)) = self.pending[publisher].pop_front() {
            let offset = self.append(partition, &m);
            self.record(|it| {
                it.published_as(&m, |published| published.position = Some(at(partition, offset)))
            });
        }
    }
}

fn at(partition: usize, offset: usize) -> Position {
    Position { partition: partition as u32, offset: offset as u64 }
}

fn partitions(session: &str, partition: usize) -> Assign<'static> {
    Assign { session: session.to_owned().into(), partitions: vec![partition as u32] }
}
