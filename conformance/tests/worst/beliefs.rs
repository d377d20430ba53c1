//! What a careless service takes for granted. Each belief is broken as soon as a run contradicts it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anybroker::{Delivery, Fate, Group, Key, Kind, Outcome, SettleError, Settled, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Belief {
    /// A message comes once.
    NoDuplicates,
    /// What was handled before is marked as a redelivery.
    TheMarkTells,
    /// What is marked as a redelivery was seen before.
    MarkedWasSeen,
    /// An acknowledgement that succeeded is the end of it.
    AckedIsFinal,
    /// Messages of one key are in one pair of hands.
    OneHandAKey,
    /// What was received can be settled.
    HeldIsMine,
    /// A publish without an answer failed.
    UnansweredFailed,
    /// Every publish succeeds.
    PublishSucceeds,
    /// What was published comes.
    AllCome,
    /// One publisher's messages come in its order, whatever their keys.
    OrderAcrossKeys,
}

/// The beliefs that were broken, and what is needed to know.
#[derive(Debug, Default)]
pub(crate) struct Beliefs {
    pub(crate) broken: BTreeMap<Belief, u64>,
    order: HashMap<String, usize>,
    confirmed: BTreeSet<String>,
    unanswered: BTreeSet<String>,
    groups: HashMap<Group, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    delivered: HashMap<String, u64>,
    acknowledged: BTreeSet<String>,
    last: HashMap<String, usize>,
    /// How many of a key each member holds.
    hands: HashMap<Key, BTreeMap<u64, usize>>,
}

/// Who settles, and what of.
pub(crate) type Settling = (u64, Option<String>, Option<Key>, Verdict);

impl Belief {
    pub(crate) const ALL: [Belief; 10] = [
        Belief::NoDuplicates,
        Belief::TheMarkTells,
        Belief::MarkedWasSeen,
        Belief::AckedIsFinal,
        Belief::OneHandAKey,
        Belief::HeldIsMine,
        Belief::UnansweredFailed,
        Belief::PublishSucceeds,
        Belief::AllCome,
        Belief::OrderAcrossKeys,
    ];
}

impl Beliefs {
    fn breaks(&mut self, belief: Belief) {
        *self.broken.entry(belief).or_default() += 1;
    }

    pub(crate) fn publishes(&mut self, id: &str) {
        let at = self.order.len();
        self.order.insert(id.to_owned(), at);
    }

    pub(crate) fn published(&mut self, id: &str, outcome: &Outcome) {
        match outcome {
            Ok(_) => _ = self.confirmed.insert(id.to_owned()),
            Err(error) => {
                self.breaks(Belief::PublishSucceeds);
                if error.error().fate() == Fate::Unknown {
                    self.unanswered.insert(id.to_owned());
                }
            }
        }
    }

    pub(crate) fn delivered(&mut self, group: &Group, member: u64, delivery: &Delivery) {
        let id = delivery.id().map(|id| id.to_string()).unwrap_or_default();
        let at = self.order.get(&id).copied().unwrap_or_default();
        let publisher = id.split('-').next().unwrap_or_default().to_owned();
        let seen = self.groups.entry(group.clone()).or_default();
        let times = seen.delivered.entry(id.clone()).or_default();
        *times += 1;
        let (first, acknowledged) = (*times == 1, seen.acknowledged.contains(&id));
        let overtaken = first && seen.last.insert(publisher, at).is_some_and(|last| last > at);
        let unmarked = acknowledged && !delivery.redelivered();
        let others = delivery.to_key().is_some_and(|key| {
            let hands = seen.hands.entry(key).or_default();
            *hands.entry(member).or_default() += 1;
            hands.iter().any(|(other, holds)| *other != member && *holds > 0)
        });
        for (broken, belief) in [
            (others, Belief::OneHandAKey),
            (!first, Belief::NoDuplicates),
            (acknowledged, Belief::AckedIsFinal),
            (unmarked, Belief::TheMarkTells),
            (first && delivery.redelivered(), Belief::MarkedWasSeen),
            (overtaken, Belief::OrderAcrossKeys),
        ] {
            if broken {
                self.breaks(belief);
            }
        }
        if self.unanswered.contains(&id) {
            self.breaks(Belief::UnansweredFailed);
        }
    }

    pub(crate) fn settled(
        &mut self,
        group: &Group,
        (member, id, key, verdict): Settling,
        result: &Result<Settled, SettleError>,
    ) {
        self.lays_down(group, member, key);
        let seen = self.groups.entry(group.clone()).or_default();
        match (result, verdict, id) {
            (Ok(_), Verdict::Ack, Some(id)) => _ = seen.acknowledged.insert(id),
            (Err(refused), ..) if refused.error().kind() == Kind::Fenced => self.breaks(Belief::HeldIsMine),
            _ => {}
        }
    }

    /// The member has one of a key less in hand.
    pub(crate) fn lays_down(&mut self, group: &Group, member: u64, key: Option<Key>) {
        let seen = self.groups.entry(group.clone()).or_default();
        if let Some(holds) = key.and_then(|key| seen.hands.get_mut(&key)?.get_mut(&member)) {
            *holds = holds.saturating_sub(1);
        }
    }

    /// The member's session has ended.
    pub(crate) fn let_go(&mut self, group: &Group, member: u64) {
        let seen = self.groups.entry(group.clone()).or_default();
        seen.hands.values_mut().for_each(|hands| _ = hands.remove(&member));
    }

    /// The run is over: what was confirmed and never came is lost.
    pub(crate) fn conclude(&mut self) {
        let came = |id: &String| self.groups.values().all(|seen| seen.delivered.contains_key(id));
        let lost = self.confirmed.iter().filter(|id| !came(id)).count() as u64;
        if lost > 0 {
            *self.broken.entry(Belief::AllCome).or_default() += lost;
        }
    }
}
