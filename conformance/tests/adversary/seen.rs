//! What is looked for in a history before it is changed, and the tools to change it.

use anybroker_conformance::history::{Deliver, Event, Outcome, Publish, SettleVerdict, Sketch};

/// A delivery with what is known of its settlement.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) event: usize,
    pub(crate) deliver: Deliver<'static>,
    pub(crate) settle: Option<(usize, SettleVerdict)>,
    pub(crate) settled: Option<(usize, Outcome)>,
    pub(crate) inside: bool,
}

pub(crate) fn seen(sketch: &Sketch) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    let find = |all: &[Seen], d: &str| all.iter().position(|seen| &*seen.deliver.d == d).unwrap();
    for (event, (_, it)) in sketch.events.iter().enumerate() {
        match it {
            Event::Deliver(deliver) => {
                let deliver = deliver.clone();
                all.push(Seen { event, deliver, settle: None, settled: None, inside: false });
            }
            Event::Settle(settle) => {
                let i = find(&all, &settle.d);
                all[i].settle = Some((event, settle.verdict));
                all[i].inside = settle.transaction.is_some();
            }
            Event::Settled(settled) => {
                let i = find(&all, &settled.d);
                all[i].settled = Some((event, settled.outcome));
            }
            _ => {}
        }
    }
    all
}

impl Seen {
    pub(crate) fn acked(&self) -> bool {
        self.settle.is_some_and(|(_, verdict)| verdict == SettleVerdict::Ack)
            && self.settled.is_some_and(|(_, outcome)| outcome == Outcome::Ok)
            && !self.inside
    }

    /// Whether its settlement lets no other message come again.
    pub(crate) fn causes_nothing(&self) -> bool {
        !self.inside && self.settle.is_none_or(|(_, verdict)| verdict == SettleVerdict::Ack)
    }

    pub(crate) fn dead(&self) -> bool {
        self.deliver.dead_letter == Some(true)
    }

    pub(crate) fn fresh(&self) -> bool {
        !self.dead() && self.deliver.redelivered != Some(true)
    }
}

pub(crate) fn group_of(sketch: &Sketch, session: &str) -> String {
    let found = sketch.events.iter().find_map(|(_, event)| match event {
        Event::Open(open) if &*open.session == session => Some(open.group.to_string()),
        _ => None,
    });
    found.unwrap()
}

/// The ids of messages published ok, outside transactions, that are no sentinels and no repeats.
pub(crate) fn plain(sketch: &Sketch) -> Vec<String> {
    let repeated: Vec<_> = publishes(sketch).filter_map(|it| it.dedup.clone()).collect();
    let outcomes = |m: &str| {
        sketch.events.iter().any(|(_, event)| match event {
            Event::Published(it) => &*it.m == m && it.outcome == Outcome::Ok && it.duplicate != Some(true),
            _ => false,
        })
    };
    let plain = publishes(sketch).filter(|it| {
        it.transaction.is_none() && it.sentinel.is_none() && it.dedup.is_none() && !repeated.contains(&it.m)
    });
    plain.map(|it| it.m.to_string()).filter(|m| outcomes(m)).collect()
}

pub(crate) fn publishes(sketch: &Sketch) -> impl Iterator<Item = &Publish<'static>> {
    sketch.events.iter().filter_map(|(_, event)| match event {
        Event::Publish(publish) => Some(publish),
        _ => None,
    })
}

pub(crate) fn deliver_mut(sketch: &mut Sketch, event: usize) -> &mut Deliver<'static> {
    match &mut sketch.events[event].1 {
        Event::Deliver(deliver) => deliver,
        other => unreachable!("{other:?}"),
    }
}

/// Removes the deliveries that `which` holds for, and their settlements.
pub(crate) fn remove(sketch: &mut Sketch, which: impl Fn(&Seen) -> bool) {
    let gone: Vec<_> = seen(sketch).into_iter().filter(|it| which(it)).map(|it| it.deliver.d).collect();
    sketch.events.retain(|(_, event)| match event {
        Event::Deliver(it) => !gone.contains(&it.d),
        Event::Settle(it) => !gone.contains(&it.d),
        Event::Settled(it) => !gone.contains(&it.d),
        _ => true,
    });
}

/// Inserts an event at the time of the event before which it comes.
pub(crate) fn insert(sketch: &mut Sketch, before: usize, event: Event<'static>) {
    let time = sketch.events[before].0;
    sketch.events.insert(before, (time, event));
}

/// A session of a group that is open at the end.
pub(crate) fn open_at_the_end(sketch: &Sketch, group: &str) -> Option<String> {
    let closed = |session: &str| {
        sketch.events.iter().any(|(_, event)| matches!(event, Event::Close(it) if &*it.session == session))
    };
    sketch.events.iter().rev().find_map(|(_, event)| match event {
        Event::Open(open) if &*open.group == group && !closed(&open.session) => {
            Some(open.session.to_string())
        }
        _ => None,
    })
}

/// Lets two deliveries be each of the other's message.
pub(crate) fn exchange(sketch: &mut Sketch, first: &Seen, second: &Seen) {
    for (place, content) in [(first, second), (second, first)] {
        let (d, session) = (place.deliver.d.clone(), place.deliver.session.clone());
        *deliver_mut(sketch, place.event) = Deliver { d, session, ..content.deliver.clone() };
    }
}
