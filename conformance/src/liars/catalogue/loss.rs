//! Messages that are lost: P3. None of these tells positions, by which P3p would show it as well.

use std::collections::HashMap;
use std::sync::Mutex;

use anybroker_core::kit::Pending;
use anybroker_core::{Message, Receipt, Verdict};

use super::super::aside::{Aside, lock};
use super::super::handed::Handed;
use super::super::liar::Liar;
use super::super::lie::{Answer, Count, Lie};
use super::super::publisher::Outlet;
use super::super::tell::{ends, releases, settles, stores};
use super::super::trial::case;
use super::without_positions;
use crate::properties::Property::{self, *};

const NOWHERE: &[(Property, &str)] =
    &[(P14, "what is stored nowhere reaches no group, also where there are several")];

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new(
            "confirms-without-storing",
            P3,
            "confirms every twentieth message and stores it nowhere",
            || {
                let count = Count::default();
                stores(move |outlet, pending| {
                    if count.every(20) {
                        return pending.confirm(Receipt::default());
                    }
                    outlet.honest(pending);
                })
            },
        )
        .implies(NOWHERE),
        Liar::new(
            "drops-after-the-twelfth",
            P3,
            "stores twelve messages of a publisher, and confirms the rest",
            || {
                let counts = Mutex::new(HashMap::<u64, u64>::new());
                stores(move |outlet, pending| {
                    let count =
                        { *lock(&counts).entry(outlet.number).and_modify(|count| *count += 1).or_insert(1) };
                    if count > 12 {
                        return pending.confirm(Receipt::default());
                    }
                    outlet.honest(pending);
                })
            },
        )
        .implies(NOWHERE),
        Liar::new(
            "confirms-before-storing",
            P3,
            "confirms a message when it has it, stores it with the next one, and loses it at the close",
            || Box::new(Lags::default()),
        )
        .implies(&[
            (P14, "what is stored nowhere reaches no group, also where there are several"),
            (P7, "what is stored after it was confirmed comes after what another published meanwhile"),
        ]),
        Liar::new(
            "loses-what-it-fetched",
            P3,
            "a member that closes loses what it had fetched and not delivered",
            || Box::new(Fetched),
        )
        .needs(&["random_workloads"])
        .implies(&[(P14, "what was fetched and lost did not reach its group")]),
        Liar::new("takes-a-nack-for-an-ack", P3, "never delivers again what failed", || {
            settles(|_, handed, verdict| match verdict {
                Verdict::Nack { .. } => Answer::Pass(handed, Verdict::Ack),
                other => Answer::Pass(handed, other),
            })
        }),
        Liar::new(
            "second-nack-drops",
            P3,
            "delivers again what failed once, and drops what failed twice",
            || {
                settles(|_, handed, verdict| match verdict {
                    Verdict::Nack { .. } if handed.attempt > 1 => Answer::Pass(handed, Verdict::Ack),
                    other => Answer::Pass(handed, other),
                })
            },
        ),
        Liar::new("drops-after-310-nacks", P3, "drops what fails once 310 messages have failed", || {
            let count = Count::default();
            settles(move |_, handed, verdict| match verdict {
                Verdict::Nack { .. } if count.next() > 310 => Answer::Pass(handed, Verdict::Ack),
                other => Answer::Pass(handed, other),
            })
        })
        .needs(&["nacks_over_closing_members"]),
        Liar::new(
            "loses-what-is-delayed",
            P3,
            "drops what is to come again after a delay of more than ten milliseconds",
            || {
                settles(|_, handed, verdict| match verdict {
                    Verdict::Nack { delay } if delay.as_millis() > 10 => Answer::Pass(handed, Verdict::Ack),
                    other => Answer::Pass(handed, other),
                })
            },
        ),
        Liar::new("loses-what-is-released", P3, "drops what the application gives back untouched", || {
            releases(|_, mut handed| {
                handed.forget();
                None
            })
        }),
        Liar::new(
            "forgets-what-is-unacknowledged",
            P3,
            "does not deliver again what a member held when it ended",
            || {
                ends(|_, mut held| {
                    held.iter_mut().for_each(|it| _ = it.forget());
                    held
                })
            },
        ),
        Liar::new(
            "acknowledges-all-before",
            case("hole_in_the_acknowledgements"),
            "takes an acknowledgement for one of everything before it in the partition",
            || Box::new(Cumulative::default()),
        )
        .needs(&["hole_in_the_acknowledgements"]),
    ];
    all.into_iter().map(|liar| liar.promises(without_positions).or_needs(&["order_per_key"])).collect()
}

/// Stores a message when the next one is published.
#[derive(Default)]
struct Lags {
    last: Mutex<HashMap<u64, Message>>,
}

impl Lie for Lags {
    fn publish(&self, outlet: &Outlet, batch: Vec<Pending>) {
        for pending in batch {
            let Some(message) = pending.message().cloned() else { continue };
            let before = lock(&self.last).insert(outlet.number, message);
            before.map(|before| outlet.store(before));
            pending.confirm(Receipt::default());
        }
    }
}

/// Loses what it fetched when it closes.
struct Fetched;

impl Lie for Fetched {
    fn drains(&self) -> bool {
        true
    }

    fn undelivered(&self, _group: &Aside, mut waiting: Vec<Handed>) -> Vec<Handed> {
        waiting.iter_mut().for_each(|it| _ = it.forget());
        waiting
    }
}

/// The highest acknowledged offset of each partition of a member.
#[derive(Default)]
struct Cumulative {
    highest: Mutex<HashMap<(u64, u32), u64>>,
}

impl Lie for Cumulative {
    fn settle(&self, _group: &Aside, handed: Handed, verdict: Verdict) -> Answer {
        if verdict == Verdict::Ack {
            let mut highest = lock(&self.highest);
            let highest = highest.entry((handed.member, handed.partition)).or_default();
            *highest = handed.offset.max(*highest);
        }
        Answer::Pass(handed, verdict)
    }

    fn ended(&self, _group: &Aside, mut held: Vec<Handed>) -> Vec<Handed> {
        let highest = lock(&self.highest);
        let covered =
            |it: &Handed| highest.get(&(it.member, it.partition)).is_some_and(|upto| it.offset < *upto);
        held.iter_mut().filter(|it| covered(it)).for_each(|it| _ = it.forget());
        held
    }
}
