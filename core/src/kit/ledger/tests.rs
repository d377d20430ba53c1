//! The ledger against its rules, under random work. Every rule here is one that a user would call lost order or loss.

use proptest::prelude::*;

use super::*;
use crate::message::{Message, RecordBuffer};

const PARTITION: u32 = 3;

/// What is known of a record besides what the ledger knows.
#[derive(Debug)]
struct Known {
    key: Option<u8>,
    handed: Option<Token>,
    acked: bool,
    counted: u32,
}

struct World {
    ledger: Ledger,
    generation: u32,
    known: Vec<Known>,
    now: Instant,
    prefix: Option<u64>,
    /// Tokens of records that were overtaken.
    void: Vec<Token>,
}

#[derive(Clone, Debug)]
enum Step {
    Push(Option<u8>),
    Take(usize),
    Ack(prop::sample::Index),
    Nack(prop::sample::Index, u64),
    Release(prop::sample::Index),
    SettleVoid(prop::sample::Index),
    Wait(u64),
    Acks(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => prop_oneof![1 => Just(None), 6 => (0u8..4).prop_map(Some)].prop_map(Step::Push),
        4 => (1usize..5).prop_map(Step::Take),
        5 => index().prop_map(Step::Ack),
        2 => (index(), 0u64..50).prop_map(|(i, d)| Step::Nack(i, d)),
        1 => index().prop_map(Step::Release),
        1 => index().prop_map(Step::SettleVoid),
        2 => (0u64..30).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Acks),
    ];
    prop::collection::vec(step, 1..200)
}

impl World {
    fn new(lease: Option<Duration>) -> Self {
        let mut ledger = Ledger::new(1_000, 1 << 20, lease);
        let generation = ledger.assign(PARTITION);
        World { ledger, generation, known: Vec::new(), now: Instant::now(), prefix: None, void: Vec::new() }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Push(key) => self.push(key),
            Step::Take(count) => (0..count).for_each(|_| _ = self.take()),
            Step::Ack(index) => {
                if let Some((at, token)) = self.pick(index) {
                    self.ledger.apply(token, &Verdict::Ack, self.now).unwrap();
                    self.known[at].acked = true;
                    self.known[at].handed = None;
                }
            }
            Step::Nack(index, delay) => {
                let verdict = Verdict::Nack { delay: Duration::from_millis(delay) };
                self.put_back(index, verdict);
            }
            Step::Release(index) => {
                if let Some(at) = self.put_back(index, Verdict::Release) {
                    self.known[at].counted -= 1;
                }
            }
            Step::SettleVoid(index) => {
                if !self.void.is_empty() {
                    let token = *index.get(&self.void);
                    self.ledger.apply(token, &Verdict::Ack, self.now).unwrap_err();
                }
            }
            Step::Wait(millis) => self.now += Duration::from_millis(millis),
            Step::Acks(singles) => self.acks(singles),
        }
        self.check();
    }

    fn push(&mut self, key: Option<u8>) {
        let mut message = Message::new("payload").with_id("m");
        message.key = key.map(|k| [k].as_slice().into());
        let native = self.known.len() as u64;
        let record = RecordBuffer::new().encode(&message);
        let incoming = Incoming { record, native, offset: None, stored: 0, attempts: 0, redelivered: false };
        assert!(self.ledger.push(PARTITION, self.generation, incoming));
        self.known.push(Known { key, handed: None, acked: false, counted: 0 });
    }

    /// Takes one record and holds it to the rules of order.
    fn take(&mut self) -> Option<usize> {
        let mut handout = None;
        self.ledger.hand_out(1, None, self.now, |next| handout = Some(next));
        let handout = handout?;
        let at = handout.token.sequence as usize;
        self.known[at].counted += 1;
        assert_eq!(handout.token.attempt, self.known[at].counted, "attempts count hand-outs less releases");
        assert!(self.known[at].handed.is_none() && !self.known[at].acked, "handed out while held or done");
        let key = self.known[at].key;
        for (other, known) in
            self.known.iter().enumerate().filter(|(o, k)| *o != at && k.key == key && key.is_some())
        {
            if other < at {
                assert!(known.acked || known.handed.is_some(), "{at} came before {other} of its key");
            } else {
                assert!(known.handed.is_none(), "{at} came again while the later {other} of its key is held");
            }
        }
        self.known[at].handed = Some(handout.token);
        Some(at)
    }

    fn pick(&self, index: prop::sample::Index) -> Option<(usize, Token)> {
        let held: Vec<_> =
            self.known.iter().enumerate().filter_map(|(at, k)| Some((at, k.handed?))).collect();
        (!held.is_empty()).then(|| *index.get(&held))
    }

    fn put_back(&mut self, index: prop::sample::Index, verdict: Verdict) -> Option<usize> {
        let (at, token) = self.pick(index)?;
        self.ledger.apply(token, &verdict, self.now).unwrap();
        self.let_go(at);
        Some(at)
    }

    /// The record is no longer held, and neither are the later ones of its key.
    fn let_go(&mut self, at: usize) {
        let key = self.known[at].key;
        for (other, known) in self.known.iter_mut().enumerate() {
            if other == at || (other > at && key.is_some() && known.key == key) {
                self.void.extend(known.handed.take());
            }
        }
    }

    fn acks(&mut self, singles: bool) {
        let plan = self.ledger.partition(PARTITION).unwrap().take_acks(singles);
        if let Some(upto) = plan.upto {
            assert!(
                self.known[..=upto as usize].iter().all(|k| k.acked),
                "the prefix passed an unsettled message"
            );
            assert!(self.prefix.is_none_or(|before| upto > before), "the prefix went back");
            self.prefix = Some(upto);
        }
        assert!(plan.singles.iter().all(|native| self.known[*native as usize].acked));
    }

    fn check(&mut self) {
        let partition = self.ledger.partition(PARTITION).unwrap();
        assert_eq!(partition.handed, self.known.iter().filter(|k| k.handed.is_some()).count());
        assert_eq!(partition.open, self.known.iter().filter(|k| !k.acked).count());
    }

    /// Everything pushed can be acknowledged, and then nothing is left.
    fn drain(&mut self) {
        self.now += Duration::from_secs(1);
        loop {
            while self.take().is_some() {}
            let held: Vec<_> = self.known.iter().filter_map(|k| k.handed).collect();
            if held.is_empty() {
                break;
            }
            for token in held {
                self.ledger.apply(token, &Verdict::Ack, self.now).unwrap();
                self.known[token.sequence as usize].acked = true;
                self.known[token.sequence as usize].handed = None;
            }
        }
        assert!(self.known.iter().all(|k| k.acked), "a message is stuck");
        self.acks(false);
        let partition = self.ledger.partition(PARTITION).unwrap();
        assert_eq!((partition.slots(), partition.bytes, partition.open), (0, 0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn keeps_order_and_loses_nothing(steps in steps()) {
        let mut world = World::new(None);
        steps.into_iter().for_each(|step| world.run(step));
        world.drain();
    }
}

#[test]
fn a_failed_message_comes_before_the_later_ones_of_its_key_and_others_go_on() {
    let mut world = World::new(None);
    [Some(1), Some(2), Some(1), Some(1)].into_iter().for_each(|key| world.push(key));
    assert_eq!([world.take(), world.take(), world.take()], [Some(0), Some(1), Some(2)]);
    let (first, third) = (world.known[0].handed.unwrap(), world.known[2].handed.unwrap());
    world.ledger.apply(first, &Verdict::Nack { delay: Duration::from_millis(10) }, world.now).unwrap();
    world.let_go(0);
    let void = world.ledger.apply(third, &Verdict::Ack, world.now).unwrap_err();
    assert_eq!(void.kind(), crate::Kind::Superseded);
    world.push(Some(2));
    assert_eq!([world.take(), world.take()], [Some(4), None]);
    world.now += Duration::from_millis(10);
    assert_eq!([world.take(), world.take(), world.take(), world.take()], [Some(0), Some(2), Some(3), None]);
}

#[test]
fn settlements_of_an_earlier_assignment_change_nothing() {
    let mut world = World::new(None);
    world.push(Some(1));
    world.take();
    let old = world.known[0].handed.unwrap();
    let returned = world.ledger.revoke(PARTITION).unwrap().returned();
    assert_eq!((returned[0].attempts, returned[0].held), (1, true));
    assert_eq!(world.ledger.apply(old, &Verdict::Ack, world.now).unwrap_err().kind(), crate::Kind::Fenced);
    let generation = world.ledger.assign(PARTITION);
    assert!(generation > world.generation);
    let record = RecordBuffer::new().encode(&Message::new("late"));
    let late = Incoming { record, native: 0, offset: None, stored: 0, attempts: 0, redelivered: false };
    assert!(!world.ledger.push(PARTITION, world.generation, late), "fetched before the revocation");
    assert_eq!(world.ledger.apply(old, &Verdict::Ack, world.now).unwrap_err().kind(), crate::Kind::Fenced);
}

#[test]
fn a_lapsed_lease_is_a_failed_attempt() {
    let mut world = World::new(Some(Duration::from_secs(1)));
    world.push(Some(1));
    world.take();
    let lapsed = world.known[0].handed.take().unwrap();
    assert_eq!(world.ledger.next_due(world.now), Some(world.now + Duration::from_secs(1)));
    world.now += Duration::from_secs(1);
    assert_eq!(world.take(), Some(0));
    assert_eq!(
        world.ledger.apply(lapsed, &Verdict::Ack, world.now).unwrap_err().kind(),
        crate::Kind::Superseded
    );
}

#[test]
fn leases_of_settled_records_are_forgotten_and_others_still_lapse() {
    let mut world = World::new(Some(Duration::from_secs(1)));
    world.ledger.prefetch = 2;
    world.push(Some(0));
    world.take();
    for at in 1..100 {
        world.push(None);
        world.take();
        let token = world.known[at].handed.take().unwrap();
        world.ledger.apply(token, &Verdict::Ack, world.now).unwrap();
        assert!(world.ledger.leases.len() <= 2 * LEASES_PER_PREFETCH);
    }
    world.known[0].handed.take().unwrap();
    world.now += Duration::from_secs(1);
    assert_eq!(world.take(), Some(0));
}

#[test]
fn room_counts_what_is_open_and_bounds_what_waits_behind_a_gap() {
    let mut world = World::new(None);
    world.ledger.prefetch = 2;
    world.push(Some(0));
    world.take();
    assert_eq!(world.ledger.room().messages, 1);
    for at in 1..20 {
        world.push(None);
        world.take();
        let token = world.known[at].handed.take().unwrap();
        world.ledger.apply(token, &Verdict::Ack, world.now).unwrap();
        world.known[at].acked = true;
    }
    assert_eq!(world.ledger.room().messages, 0, "twenty slots are ten times the prefetch");
    world.acks(true);
    assert_eq!(world.ledger.partition(PARTITION).unwrap().held_back(), 0, "told singly");
}
