//! A queue for each group: leases, marks, a delivery limit with a dead letter topic, deduplication, delays, a window.

use anybroker_conformance::history::{
    Close, CloseCause, DeadLetterPromise, Deduplication, DeliveryLimit, Event, Lease, LossPromise, Mark,
    Nothing, Order, OrderScope, Outcome, Progress, Promises, RedeliveryMark, SettleVerdict, Sketch, Start,
    Window,
};

use super::dice::Dice;

const LEASE: u64 = 40;
const LIMIT: u64 = 4;
const BOUND: usize = 3;
const DEDUPLICATED: u64 = 60;

/// A history of so many steps, drained.
pub(crate) fn history(seed: u64, steps: usize) -> Sketch {
    let mut queue = Queue::new(seed);
    for _ in 0..steps {
        queue.step();
    }
    queue.drain();
    queue.sketch
}

fn promises(mark: Mark, dead_letter: DeadLetterPromise) -> Promises {
    let nothing = Some(Nothing {});
    Promises {
        p1: nothing,
        p2: nothing,
        p3: Some(LossPromise::default()),
        p6: Some(Lease { lease_ms: Some(LEASE) }),
        p6b: nothing,
        p7: Some(Order { scope: OrderScope::Queue }),
        p9: Some(RedeliveryMark { mark }),
        p10: Some(DeliveryLimit { limit: LIMIT, dead_letter }),
        p11: Some(Deduplication { window_ms: DEDUPLICATED }),
        p11b: nothing,
        p12: nothing,
        p13: Some(Window { bound: BOUND as u64 }),
        p14: nothing,
        p17: Some(Progress { within_ms: 100_000 }),
        ..Promises::default()
    }
}

struct Queue {
    sketch: Sketch,
    dice: Dice,
    groups: Vec<Group>,
    published: Vec<(String, usize)>,
    /// Deduplication ids and when they were stored.
    known: Vec<(String, u64)>,
    dead: Vec<String>,
    stored: usize,
    count: usize,
}

struct Group {
    name: &'static str,
    sessions: Vec<String>,
    waiting: Vec<Entry>,
    flights: Vec<Flight>,
}

/// A message in a queue.
#[derive(Clone)]
struct Entry {
    m: String,
    place: usize,
    attempts: u64,
    seen: bool,
    due: u64,
}

/// A delivery that the broker has not seen settled.
#[derive(Clone)]
struct Flight {
    d: String,
    session: String,
    entry: Entry,
    until: u64,
    /// The consumer settled it, but the broker never heard of it.
    deaf: bool,
}

impl Queue {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mark = dice.pick(&[Mark::Flag, Mark::Count]).unwrap();
        let dead_letter =
            dice.pick(&[DeadLetterPromise::AtLeastOnce, DeadLetterPromise::AtMostOnce]).unwrap();
        let sketch = Sketch::new(promises(mark, dead_letter)).open_as("reader", |it| {
            it.group = "readers".into();
            it.topic = "t.dead".into();
        });
        let groups =
            ["g", "h"].map(|name| Group { name, sessions: vec![], waiting: vec![], flights: vec![] });
        let (published, known, dead) = (Vec::new(), Vec::new(), Vec::new());
        let mut queue =
            Self { sketch, dice, groups: groups.into(), published, known, dead, stored: 0, count: 0 };
        queue.open(0, Start::Earliest);
        queue.open(0, Start::Resume);
        queue.open(1, Start::Earliest);
        queue
    }

    fn record(&mut self, record: impl FnOnce(Sketch) -> Sketch) {
        let sketch = std::mem::replace(&mut self.sketch, Sketch::new(Promises::default()));
        self.sketch = record(sketch);
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{}", self.count)
    }

    fn now(&self) -> u64 {
        self.sketch.events.last().map_or(0, |(time, _)| time / 1_000_000)
    }

    fn step(&mut self) {
        self.lapse();
        match self.dice.below(100) {
            0..24 => self.publish(),
            24..56 => {
                let group = self.dice.below(2);
                self.deliver(group);
            }
            56..88 => self.settle(),
            88..91 => self.end_session(),
            91..93 => {
                let group = self.dice.below(2);
                self.open(group, Start::Resume);
            }
            93..94 => self.restart(),
            94..96 => drop(self.read_dead_letter()),
            _ => {
                let millis = self.dice.below(30) as u64;
                self.record(|it| it.wait(millis));
            }
        }
    }

    /// Publishes something, now and then with the deduplication id of something before it.
    fn publish(&mut self) {
        let (m, publisher) = (self.fresh("m"), self.dice.below(2));
        let original = if self.dice.chance(25) { self.dice.pick(&self.published) } else { None };
        let dedup = original.as_ref().map_or(m.clone(), |(m, _)| m.clone());
        let given = original.map(|(m, _)| m.into());
        self.record(|it| {
            it.publish_as(&m, |publish| {
                publish.publisher = format!("p{publisher}").into();
                publish.dedup = given;
            })
        });
        self.published.push((dedup.clone(), publisher));
        match self.dice.below(10) {
            0 => self.record(|it| it.published(&m, Outcome::Failed)),
            1 => self.record(|it| it.published(&m, Outcome::Unknown)),
            2 => drop(self.store(&m, &dedup)),
            _ => {
                let duplicate = self.store(&m, &dedup).then_some(true);
                self.record(|it| it.published_as(&m, |published| published.duplicate = duplicate));
            }
        }
    }

    /// Stores a message unless its deduplication id is known, and says whether it is.
    fn store(&mut self, m: &str, dedup: &str) -> bool {
        let now = self.now();
        if self.known.iter().any(|(known, at)| known == dedup && now < at + DEDUPLICATED) {
            return true;
        }
        self.known.push((dedup.to_owned(), now));
        self.stored += 1;
        let entry = Entry { m: m.to_owned(), place: self.stored, attempts: 0, seen: false, due: 0 };
        for group in &mut self.groups {
            group.waiting.push(entry.clone());
        }
        false
    }

    fn open(&mut self, group: usize, start: Start) {
        let (session, name) = (self.fresh("s"), self.groups[group].name);
        self.record(|it| {
            it.open_as(&session, |open| {
                open.group = name.into();
                open.start = start;
            })
        });
        self.groups[group].sessions.push(session);
    }

    /// Delivers the first message that is due to a session that has room, unless that dies before it sees it.
    fn deliver(&mut self, group: usize) -> bool {
        let now = self.now();
        let state = &mut self.groups[group];
        let room = |session: &&String| {
            state.flights.iter().filter(|flight| flight.session == **session).count() < BOUND
        };
        let sessions: Vec<_> = state.sessions.iter().filter(room).cloned().collect();
        let Some(session) = self.dice.pick(&sessions) else { return false };
        let Some(first) = state.waiting.iter().position(|entry| entry.due <= now) else { return false };
        let mut entry = state.waiting.remove(first);
        entry.attempts += 1;
        if self.dice.chance(3) {
            entry.seen = true;
            self.back(group, entry);
            self.close(group, &session, CloseCause::Killed);
            return true;
        }
        let d = self.fresh("d");
        let (attempt, redelivered) = (entry.attempts, entry.seen);
        let counted = self.sketch.header.promises.p9.is_some_and(|it| it.mark == Mark::Count);
        self.record(|it| {
            it.deliver_as(&d, &entry.m, &session, |it| {
                it.redelivered = Some(redelivered);
                it.attempt = counted.then_some(attempt);
            })
        });
        entry.seen = true;
        let until = self.now() + LEASE;
        self.groups[group].flights.push(Flight { d, session, entry, until, deaf: false });
        true
    }

    /// What failed waits again at its place, or is dead-lettered.
    fn back(&mut self, group: usize, entry: Entry) {
        if entry.attempts >= LIMIT {
            return self.dead.push(entry.m);
        }
        let waiting = &mut self.groups[group].waiting;
        let place = waiting.partition_point(|other| other.place < entry.place);
        waiting.insert(place, entry);
    }

    /// Takes back what was held for longer than the lease.
    fn lapse(&mut self) {
        let now = self.now();
        for group in 0..2 {
            while let Some(i) = self.groups[group].flights.iter().position(|flight| flight.until <= now) {
                let flight = self.groups[group].flights.remove(i);
                self.back(group, flight.entry);
                if self.dice.chance(30) && !flight.deaf {
                    self.record(|it| it.ack(&flight.d).settled(&flight.d, Outcome::Failed));
                }
            }
        }
    }

    fn settle(&mut self) {
        let group = self.dice.below(2);
        let hearing = self.groups[group].flights.iter().filter(|flight| !flight.deaf);
        let Some(flight) = self.dice.pick(&hearing.cloned().collect::<Vec<_>>()) else { return };
        match self.dice.below(20) {
            0 => self.lose_settlement(group, &flight),
            1 => self.dead_letter(group, flight),
            2 | 3 => self.release(group, flight),
            4..8 => self.nack(group, flight),
            8 => self.ack(group, &flight, None),
            _ => self.ack(group, &flight, Some(Outcome::Ok)),
        }
    }

    fn land(&mut self, group: usize, flight: &Flight) {
        self.groups[group].flights.retain(|other| other.d != flight.d);
    }

    fn ack(&mut self, group: usize, flight: &Flight, outcome: Option<Outcome>) {
        self.land(group, flight);
        self.record(|it| it.ack(&flight.d));
        if let Some(outcome) = outcome {
            self.record(|it| it.settled(&flight.d, outcome));
        }
    }

    /// The network fails, and the broker never hears of a settlement.
    fn lose_settlement(&mut self, group: usize, flight: &Flight) {
        for other in &mut self.groups[group].flights {
            other.deaf |= other.d == flight.d;
        }
        self.record(|it| it.ack(&flight.d).fault("cut").settled(&flight.d, Outcome::Unknown));
    }

    fn dead_letter(&mut self, group: usize, flight: Flight) {
        self.land(group, &flight);
        self.record(|it| it.settle(&flight.d, SettleVerdict::DeadLetter).settled(&flight.d, Outcome::Ok));
        self.dead.push(flight.entry.m);
    }

    fn release(&mut self, group: usize, flight: Flight) {
        self.land(group, &flight);
        self.record(|it| it.settle(&flight.d, SettleVerdict::Release).settled(&flight.d, Outcome::Ok));
        let attempts = flight.entry.attempts - 1;
        self.back(group, Entry { attempts, ..flight.entry });
    }

    fn nack(&mut self, group: usize, flight: Flight) {
        self.land(group, &flight);
        let delay = self.dice.below(2) * self.dice.below(20);
        let delay_ms = (delay > 0).then_some(delay as u64);
        self.record(|it| it.settle_as(&flight.d, SettleVerdict::Nack, |it| it.delay_ms = delay_ms));
        let due = self.now() + delay as u64;
        self.record(|it| it.settled(&flight.d, Outcome::Ok));
        self.back(group, Entry { due, ..flight.entry });
    }

    fn end_session(&mut self) {
        let group = self.dice.below(2);
        let Some(session) = self.dice.pick(&self.groups[group].sessions) else { return };
        let causes = [CloseCause::Closed, CloseCause::Killed, CloseCause::Disconnected];
        let cause = self.dice.pick(&causes).unwrap();
        self.close(group, &session, cause);
    }

    fn close(&mut self, group: usize, session: &str, cause: CloseCause) {
        self.record(|it| it.event(Event::Close(Close { session: session.to_owned().into(), cause })));
        self.groups[group].sessions.retain(|other| other != session);
        let held = |flight: &mut Flight| flight.session == session;
        let held: Vec<_> = self.groups[group].flights.extract_if(.., held).collect();
        for flight in held {
            self.back(group, flight.entry);
        }
    }

    /// The broker is killed and comes back with what it stored.
    fn restart(&mut self) {
        self.record(|it| it.fault("kill"));
        for group in 0..2 {
            for session in self.groups[group].sessions.clone() {
                self.close(group, &session, CloseCause::Disconnected);
            }
        }
        self.record(|it| it.fault("restart"));
        self.open(0, Start::Resume);
        self.open(1, Start::Resume);
    }

    fn read_dead_letter(&mut self) -> bool {
        let Some(m) = self.dead.pop() else { return false };
        let d = self.fresh("d");
        self.record(|it| it.deliver_as(&d, &m, "reader", |it| it.dead_letter = Some(true)));
        self.record(|it| it.ack(&d).settled(&d, Outcome::Ok));
        true
    }

    fn drain(&mut self) {
        self.open(0, Start::Resume);
        self.open(1, Start::Resume);
        let m = self.fresh("sentinel");
        self.record(|it| it.fault("heal").publish_as(&m, |publish| publish.sentinel = Some(true)).ok(&m));
        self.store(&m, &m);
        for group in 0..2 {
            while !self.groups[group].waiting.is_empty() || !self.groups[group].flights.is_empty() {
                self.finish_one(group);
            }
        }
        while self.read_dead_letter() {}
        self.record(|it| it.drained_as("g", "t").drained_as("h", "t").drained_as("readers", "t.dead"));
    }

    /// Delivers and acknowledges one message, or lets time go by until that is possible.
    fn finish_one(&mut self, group: usize) {
        self.lapse();
        if let Some(flight) = self.groups[group].flights.iter().find(|flight| !flight.deaf).cloned() {
            self.ack(group, &flight, Some(Outcome::Ok));
        } else if self.groups[group].sessions.is_empty() {
            self.open(group, Start::Resume);
        } else if !self.deliver(group) {
            let quiet = self.fresh("quiet");
            self.record(|it| it.wait(LEASE).publish_as(&quiet, |it| it.topic = "clock".into()));
        }
    }
}
