//! Redeliveries before their time (P12), and more in hand than was asked for (P13).

use std::time::Duration;

use anybroker_core::Verdict;

use super::super::liar::Liar;
use super::super::lie::{Answer, Lie};
use super::super::tell::{opens, settles};
use super::without_positions;
use crate::properties::Property::*;

pub(super) fn liars() -> Vec<Liar> {
    let early = vec![
        Liar::new("ignores-the-delay", P12, "delivers again at once, whatever the delay", || {
            delays(|_| Duration::ZERO)
        }),
        Liar::new("halves-the-delay", P12, "delivers again after half the delay", || {
            delays(|delay| delay / 2)
        }),
        Liar::new("caps-the-delay", P12, "delivers again after a fifth of a second at most", || {
            delays(|delay| delay.min(Duration::from_millis(200)))
        }),
        Liar::new(
            "takes-milliseconds-for-microseconds",
            P12,
            "delivers again after a thousandth of the delay",
            || delays(|delay| delay / 1_000),
        ),
    ];
    let many = vec![
        Liar::new("one-more-in-hand", P13, "hands a member one message more than its prefetch", || {
            opens(|subscription| subscription.prefetch += 1)
        }),
        Liar::new("twice-the-prefetch", P13, "hands a member twice its prefetch", || {
            opens(|subscription| subscription.prefetch *= 2)
        }),
        Liar::new("no-prefetch", P13, "takes no notice of the prefetch", || {
            opens(|subscription| subscription.prefetch = 1_000)
        }),
    ];
    early
        .into_iter()
        .chain(many.into_iter().map(|liar| liar.needs(&["window_is_bounded"])))
        .map(|liar| liar.promises(without_positions))
        .collect()
}

fn delays(change: fn(Duration) -> Duration) -> Box<dyn Lie> {
    settles(move |_, handed, verdict| match verdict {
        Verdict::Nack { delay } => Answer::Pass(handed, Verdict::Nack { delay: change(delay) }),
        other => Answer::Pass(handed, other),
    })
}
