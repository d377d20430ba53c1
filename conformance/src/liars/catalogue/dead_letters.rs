//! Attempts that are not counted as promised, and dead letters that go astray: P10.

use std::collections::HashMap;
use std::sync::Mutex;

use anybroker_core::{DeadLetter, Subscription, Verdict};

use super::super::aside::{Aside, lock};
use super::super::handed::{Behind, Handed, at_once};
use super::super::liar::Liar;
use super::super::lie::{Answer, Count, Lie};
use super::super::tell::{delivers, opens};
use super::without_positions;
use crate::properties::Property::*;

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new(
            "one-attempt-too-many",
            P10,
            "tries a message once more than the subscription allows",
            || opens(|subscription| limit(subscription, |attempts| attempts + 1)),
        ),
        Liar::new("one-attempt-too-few", P10, "gives a message up one attempt too early", || {
            opens(|subscription| limit(subscription, |attempts| attempts.saturating_sub(1).max(1)))
        })
        .promises(without_positions),
        Liar::new("drops-instead", P10, "drops what has used up its attempts", || Box::new(Drops::default()))
            .implies(&[(P3, "what was dropped was neither acknowledged nor dead-lettered")]),
        Liar::new(
            "dead-letters-what-is-fresh",
            P10,
            "dead-letters every fifth message before anybody has seen it",
            || Box::new(Fresh::default()),
        )
        .promises(without_positions),
        Liar::new(
            "dead-letters-twice",
            P10,
            "promises at most one dead letter of a message, and delivers two",
            || {
                delivers(|_, batch| {
                    let mut all = Vec::new();
                    for handed in batch {
                        let again = handed.is_dead_letter().then(|| Handed {
                            attempt: 1,
                            redelivered: false,
                            offset: handed.offset + (1 << 32),
                            ..handed.again()
                        });
                        all.push(handed);
                        all.extend(again);
                    }
                    all
                })
            },
        )
        .promises(|promised| promised.dead_letter.value = DeadLetter::AtMostOnce),
    ];
    all.into_iter().map(|liar| liar.needs(&["delivery_limit"])).collect()
}

fn limit(subscription: &mut Subscription, change: fn(u32) -> u32) {
    if let Some(policy) = &mut subscription.dead_letter {
        policy.max_attempts = policy.max_attempts.map(change);
    }
}

/// Which groups have a dead letter topic, and how many attempts.
#[derive(Default)]
struct Policies(Mutex<HashMap<(String, String), Option<u32>>>);

impl Policies {
    fn note(&self, subscription: &Subscription) {
        if let Some(policy) = &subscription.dead_letter {
            let of = (subscription.topic.to_string(), subscription.group.to_string());
            lock(&self.0).insert(of, policy.max_attempts);
        }
    }

    fn of(&self, group: &Aside) -> Option<Option<u32>> {
        lock(&self.0).get(&(group.topic.to_string(), group.name.clone())).copied()
    }
}

#[derive(Default)]
struct Drops {
    policies: Policies,
}

impl Lie for Drops {
    fn open(&self, subscription: &mut Subscription) {
        self.policies.note(subscription);
        subscription.dead_letter = None;
    }

    fn deliver(&self, group: &Aside, batch: Vec<Handed>) -> Vec<Handed> {
        let limit = self.policies.of(group).flatten().unwrap_or(u32::MAX);
        let kept = |mut handed: Handed| {
            if handed.attempt <= limit {
                return Some(handed);
            }
            handed.forget();
            None
        };
        batch.into_iter().filter_map(kept).collect()
    }

    fn settle(&self, _group: &Aside, handed: Handed, verdict: Verdict) -> Answer {
        match verdict {
            Verdict::DeadLetter { .. } => Answer::Pass(handed, Verdict::Ack),
            other => Answer::Pass(handed, other),
        }
    }
}

#[derive(Default)]
struct Fresh {
    policies: Policies,
    count: Count,
}

impl Lie for Fresh {
    fn open(&self, subscription: &mut Subscription) {
        self.policies.note(subscription);
    }

    fn deliver(&self, group: &Aside, batch: Vec<Handed>) -> Vec<Handed> {
        if self.policies.of(group).is_none() {
            return batch;
        }
        let kept = |handed: Handed| {
            if !handed.is_fresh() || !self.count.every(5) {
                return Some(handed);
            }
            if let Behind::Broker(delivery) = handed.behind {
                drop(at_once(delivery.dead_letter("it looked hopeless")));
            }
            None
        };
        batch.into_iter().filter_map(kept).collect()
    }
}
