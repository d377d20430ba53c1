//! How workloads are made from a seed.

use std::ops::RangeInclusive;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Fault, FaultKind, Manners, Publish, Step, Workload};

/// What workloads of a kind may be.
#[derive(Clone, Debug)]
pub struct Shape {
    /// How many phases, of a few steps each.
    pub phases: RangeInclusive<usize>,
    /// How many messages one step publishes.
    pub messages: RangeInclusive<u32>,
    /// How many of them in one call, at most.
    pub call: u32,
    /// Over how many keys at most.
    pub keys: u32,
    /// The largest payload.
    pub bytes: u32,
    /// The longest pause of a step.
    pub pause_ms: u64,
    /// The range of prefetch.
    pub prefetch: RangeInclusive<u32>,
    /// What the backend has that can be used and broken.
    pub possible: Possible,
    /// How many faults; none if nothing can be broken.
    pub faults: RangeInclusive<usize>,
}

/// What a backend has that a workload can use or break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Possible {
    /// The most groups.
    pub groups: usize,
    /// There are dead letters.
    pub dead_letters: bool,
    /// Connections go through a proxy.
    pub connections: bool,
    /// Members run in processes of their own.
    pub processes: bool,
    /// The broker can be paused.
    pub pause: bool,
    /// The broker keeps what it confirmed when it is killed.
    pub kill: bool,
    /// The members of a group may have any prefetch; if not, they have the same one.
    pub windows: bool,
}

impl Possible {
    /// Whether anything can be broken.
    pub fn breaks(&self) -> bool {
        self.connections || self.processes || self.pause || self.kill
    }
}

impl Shape {
    /// A few hundred messages, nothing broken.
    pub fn small(possible: Possible) -> Self {
        Shape {
            phases: 3..=8,
            messages: 1..=40,
            call: 10,
            keys: 12,
            bytes: 2_000,
            pause_ms: 60,
            prefetch: 1..=100,
            possible,
            faults: 0..=0,
        }
    }

    /// A few thousand messages with a few faults.
    pub fn broken(possible: Possible) -> Self {
        Shape { messages: 20..=300, call: 25, keys: 40, faults: 2..=3, ..Self::small(possible) }
    }

    /// Tens of thousands of messages with a few faults.
    pub fn large(possible: Possible) -> Self {
        Shape {
            phases: 8..=12,
            messages: 200..=1_600,
            call: 200,
            keys: 300,
            bytes: 600,
            pause_ms: 200,
            prefetch: 50..=1_000,
            possible,
            faults: 2..=4,
        }
    }

    /// The workload of a seed: the same every time.
    pub fn workload(&self, seed: u64) -> Workload {
        self.tree(seed).current()
    }

    /// The same, able to shrink.
    pub fn tree(&self, seed: u64) -> impl ValueTree<Value = Workload> + Send + use<> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config { failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, rng);
        let strategy = self.strategy(seed);
        // It fails only where a filter rejects too much, and there is none.
        loop {
            if let Ok(tree) = strategy.new_tree(&mut runner) {
                return tree;
            }
        }
    }

    fn strategy(&self, seed: u64) -> impl Strategy<Value = Workload, Tree: Send> + use<> {
        let groups = self.possible.groups.max(1);
        let begin = vec(self.join(), 0..=4);
        // Whole phases go first when it shrinks, then their steps, then what is in those.
        let phases = vec(vec(self.step(), 1..=7), self.phases.clone());
        let faults = vec((self.fault(), 0..=self.pause_ms, self.publish()), self.faults());
        (1..=groups, begin, phases, faults).prop_map(move |(groups, begin, phases, faults)| {
            let mut steps = begin;
            let apart = phases.len() / (faults.len() + 1) + 1;
            let mut faults = faults.into_iter();
            for (number, phase) in phases.into_iter().enumerate() {
                steps.extend(phase);
                if number % apart == apart - 1 {
                    steps.extend(faults.next().into_iter().flat_map(around));
                }
            }
            steps.extend(faults.flat_map(around));
            // What a step has become that is gone.
            steps.retain(|step| *step != Step::Pause { ms: 0 });
            Workload { seed, groups, steps }
        })
    }

    fn faults(&self) -> RangeInclusive<usize> {
        if self.possible.breaks() { self.faults.clone() } else { 0..=0 }
    }

    /// The simplest first: that is what a step becomes when it shrinks.
    fn step(&self) -> impl Strategy<Value = Step, Tree: Send> + use<> {
        let member = 0..MEMBERS;
        prop_oneof![
            2 => (0..=self.pause_ms).prop_map(|ms| Step::Pause { ms }),
            8 => self.publish(),
            1 => member.clone().prop_map(|member| Step::Leave { member }),
            1 => member.clone().prop_map(|member| Step::Drop { member }),
            2 => (member, self.manners()).prop_map(|(member, manners)| Step::Behave { member, manners }),
            2 => self.join(),
        ]
    }

    fn join(&self) -> impl Strategy<Value = Step, Tree: Send> + use<> {
        (0..MEMBERS, 0..self.possible.groups.max(1), self.manners())
            .prop_map(|(member, group, manners)| Step::Join { member, group, manners })
    }

    fn publish(&self) -> impl Strategy<Value = Step, Tree: Send> + use<> {
        let pause = prop_oneof![3 => Just(0), 1 => 0..=PAUSE_MS];
        (0..PUBLISHERS, self.messages.clone(), 1..=self.call, 0..=self.keys, 0..=self.bytes, 0..=8_u32, pause)
            .prop_map(|(publisher, messages, call, keys, bytes, ahead, pause_ms)| {
                Step::Publish(Publish { publisher, messages, call, keys, bytes, ahead, pause_ms })
            })
    }

    fn manners(&self) -> impl Strategy<Value = Manners, Tree: Send> + use<> {
        let rarely = |most: u32| prop_oneof![2 => Just(0), 1 => 0..=most];
        let letters = if self.possible.dead_letters { 3 } else { 0 };
        let same = Manners::WINDOW..=Manners::WINDOW;
        let prefetch = if self.possible.windows { self.prefetch.clone() } else { same };
        let take = prefetch.end() / 2;
        (
            prefetch,
            1..=take.max(1),
            rarely(20),
            0..=40_u64,
            rarely(15),
            rarely(25),
            1..=80_u64,
            rarely(letters),
            any::<bool>(),
        )
            .prop_map(
                |(prefetch, take, nack, delay_ms, release, hold, hold_ms, dead_letter, shuffled)| Manners {
                    prefetch,
                    take,
                    nack,
                    delay_ms,
                    release,
                    hold,
                    hold_ms,
                    dead_letter,
                    shuffled,
                },
            )
    }

    fn fault(&self) -> impl Strategy<Value = Fault, Tree: Send> + use<> {
        let Possible { connections, processes, pause, kill, .. } = self.possible;
        let kinds = [
            (connections, FaultKind::Cut),
            (connections, FaultKind::Stall { ms: 0 }),
            (connections, FaultKind::DropReplies { ms: 0 }),
            (processes, FaultKind::KillMember),
            (pause, FaultKind::PauseBroker { ms: 0 }),
            (kill, FaultKind::KillBroker),
        ];
        let kinds: Vec<_> = kinds.into_iter().filter(|(can, _)| *can).map(|(_, kind)| kind).collect();
        // Never drawn from if there is none: there are no faults then.
        let kinds = if kinds.is_empty() { vec![FaultKind::Cut] } else { kinds };
        (select(kinds), 200..=2_500_u64, 40..=120_u32).prop_map(|(kind, ms, burst)| {
            let kind = match kind {
                FaultKind::Stall { .. } => FaultKind::Stall { ms },
                FaultKind::DropReplies { .. } => FaultKind::DropReplies { ms },
                FaultKind::PauseBroker { .. } => FaultKind::PauseBroker { ms },
                other => other,
            };
            Fault { kind, burst }
        })
    }
}

/// A fault comes while a publisher publishes.
fn around((fault, ms, publish): (Fault, u64, Step)) -> [Step; 3] {
    [publish, Step::Fault(fault), Step::Pause { ms }]
}

/// How many members there can be at once.
const MEMBERS: usize = 5;
/// How many publishers.
const PUBLISHERS: usize = 3;
/// The longest pause between two calls.
const PAUSE_MS: u64 = 4;
