//! Messages that come again although they should not: P4, P6, P6b.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use anybroker_core::{
    Certainty, DeadLetter, Delay, DeliveryLevel, Guarantees, Lease, Redelivery, Settled, Verdict,
};

use super::super::aside::{Aside, When, lock};
use super::super::handed::{Behind, Handed};
use super::super::liar::Liar;
use super::super::lie::{Answer, Count, Honest, Lie};
use super::super::tell::{delivers, settles};
use super::{LEASE, loose};
use crate::properties::Property::*;

pub(super) fn liars() -> Vec<Liar> {
    [at_most_once_liars(), without_a_cause(), after_the_acknowledgement()].concat()
}

/// What comes once or not at all, and is marked by nothing.
pub(super) fn at_most_once(promised: &mut Guarantees) {
    loose(promised);
    promised.delivery.value = DeliveryLevel::AtMostOnce;
    promised.redelivery.value = Redelivery::Unmarked;
    promised.settlement.value = Certainty::Recorded;
    promised.dead_letter.value = DeadLetter::None;
    promised.delay.value = Delay::None;
}

fn at_most_once_liars() -> Vec<Liar> {
    let all = vec![
        Liar::new("delivers-twice", P4, "delivers every fiftieth message twice", || {
            let count = Count::default();
            delivers(move |_, batch| twice(batch, |_| count.every(50)))
        }),
        Liar::new(
            "delivers-again-later",
            P4,
            "delivers every twentieth message again after half a second",
            || {
                let count = Count::default();
                delivers(move |group, batch| {
                    for handed in batch.iter().filter(|_| count.every(20)) {
                        group.put(handed.again(), When::later(Duration::from_millis(500)));
                    }
                    batch
                })
            },
        ),
        Liar::new(
            "begins-with-the-last-one",
            P4,
            "a new member gets the last message that the one before it got",
            || Box::new(BeginsAgain::default()),
        ),
    ];
    all.into_iter().map(|liar| liar.promises(at_most_once)).collect()
}

/// Delivers some messages once more in the same batch.
fn twice(batch: Vec<Handed>, which: impl Fn(&Handed) -> bool) -> Vec<Handed> {
    let mut all = Vec::with_capacity(batch.len());
    for handed in batch {
        let again = which(&handed).then(|| handed.again());
        all.push(handed);
        all.extend(again);
    }
    all
}

/// Keeps the last message of each group, for the member that comes next.
#[derive(Default)]
struct BeginsAgain {
    last: Mutex<HashMap<String, Handed>>,
}

impl Lie for BeginsAgain {
    fn deliver(&self, group: &Aside, batch: Vec<Handed>) -> Vec<Handed> {
        if let Some(last) = batch.last() {
            lock(&self.last).insert(format!("{}/{}", group.topic, group.name), last.again());
        }
        batch
    }

    fn ended(&self, group: &Aside, held: Vec<Handed>) -> Vec<Handed> {
        let last = lock(&self.last).remove(&format!("{}/{}", group.topic, group.name));
        last.into_iter().for_each(|again| group.put_for_the_next(again));
        held
    }
}

fn without_a_cause() -> Vec<Liar> {
    vec![
        Liar::new("redelivers-in-flight", P6, "delivers every fiftieth message again while it is in hand", || {
            let count = Count::default();
            delivers(move |group, batch| {
                twice(batch, |handed| {
                    let again = !handed.is_dead_letter() && count.every(50);
                    if again {
                        group.delivered_besides(handed);
                    }
                    again
                })
            })
        })
        .needs(&["order_per_key"]),
        Liar::new("redelivers-a-batch-in-flight", P6, "delivers every tenth batch again while it is in hand", || {
            let count = Count::default();
            delivers(move |group, mut batch| {
                if count.every(10) && !batch.iter().any(Handed::is_dead_letter) {
                    batch.iter().for_each(|handed| group.delivered_besides(handed));
                    let again: Vec<_> = batch.iter().map(Handed::again).collect();
                    batch.extend(again);
                }
                batch
            })
        })
        .needs(&["order_per_key"]),
        Liar::new("lease-too-short", P6, "promises a lease of ten seconds and gives three", || Box::new(Honest))
            .over(|config| config.lease = Some(Duration::from_secs(3)))
            .promises(|promised| {
                promised.lease.value = Lease::Fixed;
                promised.limits.lease = Some(LEASE);
            }),
        Liar::new("late-duplicates-of-recorded-ones", P6, "delivers every tenth message again thirty seconds after it was acknowledged, which it does not confirm", || {
            late_duplicates()
        })
        .needs(&["silence_after_the_end"])
        .promises(|promised| {
            loose(promised);
            super::recorded(promised);
        }),
    ]
}

fn late_duplicates() -> Box<dyn Lie> {
    let count = Count::default();
    settles(move |group, handed, verdict| {
        acknowledged(handed, verdict, |again| {
            if count.every(10) {
                group.put(again, When::later(Duration::from_secs(30)));
            }
        })
    })
}

/// Acknowledges what is to be, and then does something with the message as it may come again.
fn acknowledged(mut handed: Handed, verdict: Verdict, then: impl FnOnce(Handed)) -> Answer {
    if verdict != Verdict::Ack || !matches!(handed.behind, Behind::Broker(_)) {
        return Answer::Pass(handed, verdict);
    }
    if !handed.forget() {
        return Answer::superseded();
    }
    then(Handed { behind: Behind::Liar, ..handed.again() });
    Answer::Say(Settled::Confirmed)
}

fn after_the_acknowledgement() -> Vec<Liar> {
    let all = vec![
        Liar::new(
            "late-duplicates",
            P6b,
            "delivers every tenth message again thirty seconds after it was acknowledged",
            late_duplicates,
        )
        .implies(&[(P6, "an acknowledgement is no cause to deliver again")]),
        Liar::new(
            "no-op-ack",
            P6b,
            "confirms acknowledgements and keeps none: when a member ends, everything comes again",
            || Box::new(Resurrects::new(|_| true)),
        ),
        Liar::new(
            "keeps-nine-acks-of-ten",
            P6b,
            "forgets every tenth acknowledgement when a member ends",
            || Box::new(Resurrects::new(|number| number % 10 == 0)),
        )
        .needs(&["members_join_and_leave"]),
        Liar::new(
            "forgets-the-last-acks",
            P6b,
            "forgets the last three acknowledgements when a member ends",
            || Box::new(Resurrects { last: 3, ..Resurrects::new(|_| true) }),
        ),
    ];
    all.into_iter()
        .map(|liar| liar.promises(loose).or_needs(&["silence_after_the_end", "hole_in_the_acknowledgements"]))
        .collect()
}

/// Keeps what was acknowledged, to deliver it again when its member ends.
struct Resurrects {
    which: fn(u64) -> bool,
    last: usize,
    count: Count,
    acknowledged: Mutex<HashMap<(String, String, u64), Vec<Handed>>>,
}

impl Resurrects {
    fn new(which: fn(u64) -> bool) -> Self {
        Resurrects { which, last: usize::MAX, count: Count::default(), acknowledged: Mutex::default() }
    }
}

impl Lie for Resurrects {
    fn settle(&self, group: &Aside, handed: Handed, verdict: Verdict) -> Answer {
        let of = (group.topic.to_string(), group.name.clone(), handed.member);
        acknowledged(handed, verdict, |again| {
            if (self.which)(self.count.next()) {
                lock(&self.acknowledged).entry(of).or_default().push(again);
            }
        })
    }

    fn ended(&self, group: &Aside, held: Vec<Handed>) -> Vec<Handed> {
        let closed: Vec<_> = {
            let mut all = lock(&self.acknowledged);
            let open = group.open();
            let of_group =
                |key: &(String, String, u64)| *key.0 == *group.topic.as_str() && key.1 == group.name;
            let gone: Vec<_> =
                all.keys().filter(|key| of_group(key) && !open.contains(&key.2)).cloned().collect();
            gone.iter().filter_map(|key| all.remove(key)).flatten().collect()
        };
        let skipped = closed.len().saturating_sub(self.last);
        for again in closed.into_iter().skip(skipped) {
            group.put_for_the_next(again);
        }
        held
    }
}
