//! Repeated publishes that are stored (P11), and new ones that are taken for repeats (P11b).

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Mutex;

use anybroker_core::kit::Pending;
use anybroker_core::{Deduplication, Guarantees, Receipt, Verdict};

use super::super::aside::{Aside, lock};
use super::super::handed::Handed;
use super::super::liar::Liar;
use super::super::lie::{Answer, Count, Honest, Lie};
use super::super::publisher::Outlet;
use super::super::tell::stores;
use super::WINDOW;
use crate::properties::Property::{self, *};

/// An id is stored once within the window.
fn window(promised: &mut Guarantees) {
    promised.deduplication.value = Deduplication::Window;
    promised.limits.deduplication_window = Some(WINDOW);
}

const TWICE: &[(Property, &str)] = &[(P5, "a message that is stored again is stored twice")];
const SUPPRESSED: &[(Property, &str)] = &[
    (P3, "what was suppressed is lost, once drained"),
    (P14, "what was suppressed reached no group, also where there are several"),
];

pub(super) fn liars() -> Vec<Liar> {
    let stored = vec![
        Liar::new("stores-repeats", P11, "promises to store an id once, and looks at none", || {
            Box::new(Honest)
        }),
        Liar::new("forgets-ids-with-the-ack", P11, "knows an id until the message is acknowledged", || {
            Box::new(UntilAcknowledged::default())
        }),
        Liar::new(
            "forgets-ids-with-the-publisher",
            P11,
            "knows the ids of a publisher for as long as it is open",
            || {
                let known = Mutex::new(HashSet::new());
                suppresses(move |outlet, id| !lock(&known).insert((outlet, id.to_owned())))
            },
        ),
        Liar::new("knows-ten-ids", P11, "knows the last ten ids", || {
            let known = Mutex::new(VecDeque::new());
            suppresses(move |_, id| {
                let mut known = lock(&known);
                if known.iter().any(|other| *other == *id) {
                    return true;
                }
                known.push_back(id.to_owned());
                if known.len() > 10 {
                    known.pop_front();
                }
                false
            })
        }),
    ];
    let suppressed = vec![
        Liar::new("compares-half-an-id", P11b, "takes ids for one whose first four characters are", || {
            let known = Mutex::new(HashSet::new());
            suppresses(move |_, id| !lock(&known).insert(id.chars().take(4).collect::<String>()))
        }),
        Liar::new("compares-a-short-hash", P11b, "takes ids for one whose eight-bit checksums are", || {
            let known = Mutex::new(HashMap::new());
            suppresses(move |_, id| {
                let sum = id.bytes().fold(0_u8, u8::wrapping_add);
                lock(&known).insert(sum, id.to_owned()).is_some_and(|other| *other != *id)
            })
        }),
        Liar::new("suppresses-now-and-then", P11b, "takes every fiftieth message for a repeat", || {
            let count = Count::default();
            suppresses(move |_, _| count.every(50))
        }),
        Liar::new(
            "compares-keys",
            P11b,
            "takes a message for a repeat whose key is that of the one before",
            || {
                let last = Mutex::new(None);
                stores(move |outlet, pending| {
                    let key = pending.message().and_then(|message| message.key.clone());
                    let before = std::mem::replace(&mut *lock(&last), key.clone());
                    if key.is_some() && before == key {
                        return pending.confirm(Receipt { position: None, duplicate: true });
                    }
                    outlet.honest(pending);
                })
            },
        ),
    ];
    let stored = stored.into_iter().map(|liar| liar.implies(TWICE).or_needs(&["deduplication_window"]));
    let suppressed = suppressed
        .into_iter()
        .map(|liar| liar.implies(SUPPRESSED).over(|config| config.deduplication = Some(WINDOW)));
    stored
        .chain(suppressed)
        .map(|liar| liar.promises(window).or_needs(&["distinct_ids_are_kept", "order_per_key"]))
        .collect()
}

/// Says of some ids that the broker has them already.
fn suppresses(known: impl Fn(u64, &str) -> bool + Send + Sync + 'static) -> Box<dyn Lie> {
    stores(move |outlet, pending| {
        let id = pending.message().map(|message| message.id.to_string()).unwrap_or_default();
        if known(outlet.number, &id) {
            return pending.confirm(Receipt { position: None, duplicate: true });
        }
        outlet.honest(pending);
    })
}

/// The ids that it knows.
#[derive(Default)]
struct UntilAcknowledged {
    known: Mutex<HashSet<String>>,
}

impl Lie for UntilAcknowledged {
    fn publish(&self, outlet: &Outlet, batch: Vec<Pending>) {
        for pending in batch {
            let id = pending.message().map(|message| message.id.to_string()).unwrap_or_default();
            if lock(&self.known).insert(id) {
                outlet.honest(pending);
            } else {
                pending.confirm(Receipt { position: None, duplicate: true });
            }
        }
    }

    fn settle(&self, _group: &Aside, handed: Handed, verdict: Verdict) -> Answer {
        if verdict == Verdict::Ack {
            lock(&self.known).remove(&handed.id());
        }
        Answer::Pass(handed, verdict)
    }
}
