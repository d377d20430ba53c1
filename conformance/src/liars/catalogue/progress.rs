//! Brokers that do not go on after they were stopped: P17.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::aside::{Aside, When};
use super::super::handed::Handed;
use super::super::liar::Liar;
use super::super::lie::Lie;
use super::loose;
use crate::properties::Property::*;

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new(
            "one-partition-stays-silent",
            P17,
            "delivers nothing of one partition once it was stopped",
            || Box::new(Silent::new(|handed| handed.partition == 1, Duration::from_secs(100_000))),
        ),
        Liar::new("silent-after-a-stop", P17, "delivers nothing new for ever once it was stopped", || {
            Box::new(Silent::new(|_| true, Duration::from_secs(100_000)))
        }),
        Liar::new(
            "slow-after-a-stop",
            P17,
            "delivers what is new eighty seconds late once it was stopped",
            || Box::new(Silent::new(|_| true, Duration::from_secs(80))),
        ),
    ];
    all.into_iter()
        .map(|liar| {
            liar.promises(loose)
                .needs(&["broker_paused"])
                .implies(&[(P3, "what never comes is lost, once drained")])
        })
        .collect()
}

/// Keeps some messages to itself once it was stopped.
struct Silent {
    stopped: AtomicBool,
    which: fn(&Handed) -> bool,
    delay: Duration,
}

impl Silent {
    fn new(which: fn(&Handed) -> bool, delay: Duration) -> Self {
        Silent { stopped: AtomicBool::new(false), which, delay }
    }
}

impl Lie for Silent {
    fn resumed(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    fn deliver(&self, group: &Aside, batch: Vec<Handed>) -> Vec<Handed> {
        let mut told = Vec::new();
        for handed in batch {
            if self.stopped.load(Ordering::Acquire) && (self.which)(&handed) {
                group.put(handed, When::later(self.delay));
            } else {
                told.push(handed);
            }
        }
        told
    }
}
