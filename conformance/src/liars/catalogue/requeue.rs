//! Messages that come again after later ones of their key: P7r.

use std::time::Duration;

use anybroker_core::{Settled, Verdict};

use super::super::handed::Handed;
use super::super::liar::Liar;
use super::super::lie::Answer;
use super::super::tell::{ends, settles};
use super::without_positions;
use crate::properties::Property::*;

/// How many messages overtake it.
const BEHIND: u64 = 20;

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new("requeues-at-the-tail", P7r, "puts what failed behind what waits", || {
            settles(|group, mut handed, verdict| {
                let Verdict::Nack { delay } = verdict else {
                    return Answer::Pass(handed, verdict);
                };
                if !handed.take_over() {
                    return Answer::superseded();
                }
                group.put_behind(counted(handed), BEHIND, delay);
                Answer::Say(Settled::Confirmed)
            })
        }),
        Liar::new(
            "requeues-a-second-failure-at-the-tail",
            P7r,
            "puts what failed twice behind what waits",
            || {
                settles(|group, mut handed, verdict| {
                    let Verdict::Nack { delay } = verdict else {
                        return Answer::Pass(handed, verdict);
                    };
                    if handed.attempt < 2 {
                        return Answer::Pass(handed, verdict);
                    }
                    if !handed.take_over() {
                        return Answer::superseded();
                    }
                    group.put_behind(counted(handed), BEHIND, delay);
                    Answer::Say(Settled::Confirmed)
                })
            },
        ),
        Liar::new(
            "goes-on-while-one-waits",
            P7r,
            "delivers later messages of a key while one waits for its delay",
            || {
                settles(|group, mut handed, verdict| {
                    let Verdict::Nack { delay } = verdict else { return Answer::Pass(handed, verdict) };
                    if !handed.take_over() {
                        return Answer::superseded();
                    }
                    group.put_back(handed, delay.max(Duration::from_millis(5)), true);
                    Answer::Say(Settled::Confirmed)
                })
            },
        ),
        Liar::new(
            "returns-to-the-tail",
            P7r,
            "puts what a member held when it ended behind what waits",
            || {
                ends(|group, held| {
                    for mut handed in held {
                        if handed.take_over() {
                            group.put_behind(counted(handed), BEHIND, Duration::ZERO);
                        }
                    }
                    Vec::new()
                })
            },
        ),
    ];
    all.into_iter()
        .map(|liar| {
            liar.promises(without_positions).or_needs(&["order_per_key", "redelivery_keeps_its_place"])
        })
        .collect()
}

fn counted(handed: Handed) -> Handed {
    Handed { attempt: handed.attempt + 1, redelivered: true, ..handed }
}
