//! Changes to what a queue recorded.

use anybroker_conformance::history::{
    DeadLetterPromise, Deliver, Event, Outcome, Settle, SettleVerdict, Sketch, Window,
};

use super::dice::Dice;
use super::seen::*;

pub(crate) fn changes_a_payload(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let victim = dice.pick(&seen(sketch))?;
    deliver_mut(sketch, victim.event).hash = "truncated".into();
    Some(())
}

pub(crate) fn invents_a_message(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let like = dice.pick(&seen(sketch))?;
    let ghost = Deliver { d: "new".into(), m: "ghost".into(), ..like.deliver };
    insert(sketch, like.event, Event::Deliver(ghost));
    Some(())
}

pub(crate) fn says_failed_but_stores(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let delivered = seen(sketch);
    let plain: Vec<_> =
        plain(sketch).into_iter().filter(|m| delivered.iter().any(|it| *it.deliver.m == **m)).collect();
    let victim = dice.pick(&plain)?;
    for (_, event) in &mut sketch.events {
        if let Event::Published(it) = event
            && *it.m == *victim
        {
            (it.outcome, it.position) = (Outcome::Failed, None);
        }
    }
    Some(())
}

pub(crate) fn loses_for_one_group(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let mut plain = plain(sketch);
    plain.retain(|m| !seen(sketch).iter().any(|it| *it.deliver.m == **m && it.dead()));
    let victim = dice.pick(&plain)?;
    let of_g = sketch.clone();
    remove(sketch, |it| *it.deliver.m == *victim && group_of(&of_g, &it.deliver.session) == "g");
    Some(())
}

pub(crate) fn drops_what_was_nacked(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let (all, plain) = (seen(sketch), plain(sketch));
    let group = |it: &Seen| group_of(sketch, &it.deliver.session);
    let dead = |m: &str| all.iter().any(|it| *it.deliver.m == *m && it.dead());
    let nacked: Vec<_> = all
        .iter()
        .filter(|it| it.settle.is_some_and(|(_, verdict)| verdict == SettleVerdict::Nack))
        .filter(|it| plain.contains(&it.deliver.m.to_string()) && !dead(&it.deliver.m))
        .filter(|it| {
            !all.iter()
                .any(|other| other.deliver.m == it.deliver.m && other.event < it.event && other.acked())
        })
        .cloned()
        .collect();
    let victim = dice.pick(&nacked)?;
    let earlier_ack = all.iter().any(|it| {
        it.deliver.m == victim.deliver.m
            && it.event < victim.event
            && group(it) == group(&victim)
            && it.settle.is_some_and(|(_, verdict)| verdict == SettleVerdict::Ack)
    });
    if earlier_ack {
        return None;
    }
    let (group, of) = (group(&victim), sketch.clone());
    remove(sketch, |it| {
        it.deliver.m == victim.deliver.m
            && it.event > victim.event
            && group_of(&of, &it.deliver.session) == group
    });
    Some(())
}

/// A delivery that was settled with nothing but its settlement after it.
fn settled_at_once(sketch: &Sketch) -> Vec<Seen> {
    let at_once = |it: &Seen| it.settle.is_some_and(|(settle, _)| settle == it.event + 1) && it.acked();
    seen(sketch)
        .into_iter()
        .filter(at_once)
        .filter(|it| it.fresh() && it.deliver.attempt.is_none_or(|it| it == 1))
        .collect()
}

pub(crate) fn delivers_again_early(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let victim = dice.pick(&settled_at_once(sketch))?;
    let again = Deliver { d: "new".into(), redelivered: Some(true), attempt: Some(2), ..victim.deliver };
    let settle = Settle { d: "new".into(), verdict: SettleVerdict::Ack, delay_ms: None, transaction: None };
    insert(sketch, victim.event + 1, Event::Settle(settle));
    insert(sketch, victim.event + 1, Event::Deliver(again));
    Some(())
}

pub(crate) fn resurrects_what_was_acknowledged(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let victim = dice.pick(&settled_at_once(sketch))?;
    let group = group_of(sketch, &victim.deliver.session);
    let session = open_at_the_end(sketch, &group)?.into();
    let again =
        Deliver { d: "new".into(), session, redelivered: Some(true), attempt: Some(2), ..victim.deliver };
    let end = sketch.events.len() - 3;
    insert(sketch, end, Event::Deliver(again));
    insert(sketch, end, Event::Fault(Default::default()));
    Some(())
}

pub(crate) fn swaps_fresh_messages(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let (all, plain) = (seen(sketch), plain(sketch));
    let only = |it: &Seen| {
        let alike = |other: &&Seen| {
            other.deliver.m == it.deliver.m
                && group_of(sketch, &other.deliver.session) == group_of(sketch, &it.deliver.session)
        };
        all.iter().filter(alike).count() == 1
    };
    let usable: Vec<_> = all
        .iter()
        .filter(|it| it.fresh() && it.acked() && it.deliver.attempt.is_none_or(|it| it == 1))
        .filter(|it| plain.contains(&it.deliver.m.to_string()) && only(it))
        .collect();
    let publisher = |m: &str| publishes(sketch).find(|it| &*it.m == m).map(|it| it.publisher.to_string());
    let published_before = |event: usize, m: &str| {
        sketch.events[..event].iter().any(|(_, it)| matches!(it, Event::Publish(it) if &*it.m == m))
    };
    let pairs: Vec<_> = usable
        .windows(2)
        .filter(|pair| pair[0].deliver.session == pair[1].deliver.session)
        .filter(|pair| publisher(&pair[0].deliver.m) == publisher(&pair[1].deliver.m))
        .filter(|pair| published_before(pair[0].event, &pair[1].deliver.m))
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect();
    let (first, second) = dice.pick(&pairs)?;
    exchange(sketch, &first, &second);
    Some(())
}

pub(crate) fn clears_a_mark(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let all = seen(sketch);
    let second = |it: &&Seen| {
        all.iter().any(|other| {
            other.event < it.event
                && other.deliver.m == it.deliver.m
                && !other.dead()
                && !it.dead()
                && other.settle.is_none_or(|(_, verdict)| verdict != SettleVerdict::Release)
                && group_of(sketch, &other.deliver.session) == group_of(sketch, &it.deliver.session)
        })
    };
    let second: Vec<_> = all.iter().filter(second).map(|it| it.event).collect();
    let victim = deliver_mut(sketch, dice.pick(&second)?);
    (victim.redelivered, victim.attempt) = (None, None);
    Some(())
}

pub(crate) fn never_dead_letters(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let at_least_once = DeadLetterPromise::AtLeastOnce;
    if sketch.header.promises.p10?.dead_letter != at_least_once {
        return None;
    }
    let all = seen(sketch);
    let asked = |it: &&Seen| it.settle.is_some_and(|(_, verdict)| verdict == SettleVerdict::DeadLetter);
    let asked: Vec<_> = all.iter().filter(asked).map(|it| it.deliver.m.clone()).collect();
    let victim = dice.pick(&asked)?;
    remove(sketch, |it| it.deliver.m == victim && it.dead());
    Some(())
}

pub(crate) fn dead_letters_what_is_fresh(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let victim = dice.pick(&plain(sketch))?;
    let deliveries = seen(sketch);
    if deliveries.iter().any(|it| *it.deliver.m == *victim && it.dead()) {
        return None;
    }
    let like = deliveries.iter().find(|it| *it.deliver.m == *victim)?.clone();
    let hides = |event: &Event<'_>| matches!(event, Event::Close(_) | Event::Fault(_));
    let published = |event: &Event<'_>| matches!(event, Event::Publish(it) if *it.m == *victim);
    let publish = sketch.events.iter().position(|(_, event)| published(event))?;
    if sketch.events[publish..like.event].iter().any(|(_, event)| hides(event)) {
        return None;
    }
    let dead = Deliver {
        d: "new".into(),
        session: "reader".into(),
        redelivered: None,
        attempt: None,
        dead_letter: Some(true),
        ..like.deliver
    };
    insert(sketch, like.event, Event::Deliver(dead));
    Some(())
}

pub(crate) fn delivers_a_duplicate(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let of = |m: &str| publishes(sketch).find(|it| &*it.m == m).and_then(|it| it.dedup.clone());
    let delivered: Vec<_> = seen(sketch).into_iter().map(|it| it.deliver.m).collect();
    let original = |m: &str| of(m).filter(|original| delivered.contains(original));
    let millis = |m: &str, invoked: bool| {
        sketch.events.iter().find_map(|(time, event)| match event {
            Event::Publish(it) if invoked && &*it.m == m => Some(time / 1_000_000),
            Event::Published(it) if !invoked && &*it.m == m => Some(time / 1_000_000),
            _ => None,
        })
    };
    let window = sketch.header.promises.p11?.window_ms;
    let suppressed: Vec<_> = sketch
        .events
        .iter()
        .enumerate()
        .filter_map(|(i, (_, event))| match event {
            Event::Published(it) if it.duplicate == Some(true) => {
                let original = original(&it.m)?;
                let apart = millis(&it.m, false)? - millis(&original, true)?;
                (apart < window).then(|| (i, it.m.to_string()))
            }
            _ => None,
        })
        .collect();
    let (_, victim) = dice.pick(&suppressed)?;
    let session = open_at_the_end(sketch, "g")?.into();
    let hash = format!("hash of {victim}").into();
    let again = Deliver { d: "new".into(), m: victim.into(), session, hash, ..Deliver::default() };
    let again = Deliver { redelivered: Some(true), attempt: Some(2), ..again };
    let end = sketch.events.len() - 3;
    insert(sketch, end, Event::Deliver(again));
    Some(())
}

pub(crate) fn suppresses_what_is_new(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let victim = dice.pick(&plain(sketch))?;
    remove(sketch, |it| *it.deliver.m == *victim);
    for (_, event) in &mut sketch.events {
        if let Event::Published(it) = event
            && *it.m == *victim
        {
            it.duplicate = Some(true);
        }
    }
    Some(())
}

pub(crate) fn ignores_a_delay(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let all = seen(sketch);
    let again = |it: &&Seen| {
        all.iter().any(|other| {
            other.event > it.event
                && !other.dead()
                && other.deliver.m == it.deliver.m
                && group_of(sketch, &other.deliver.session) == group_of(sketch, &it.deliver.session)
        })
    };
    let nacked = |it: &&Seen| it.settle.is_some_and(|(_, verdict)| verdict == SettleVerdict::Nack);
    let nacked: Vec<_> = all.iter().filter(nacked).filter(again).filter_map(|it| it.settle).collect();
    let (event, _) = dice.pick(&nacked)?;
    if let Event::Settle(it) = &mut sketch.events[event].1 {
        it.delay_ms = Some(1_000_000);
    }
    Some(())
}

pub(crate) fn ignores_the_window(sketch: &mut Sketch, _: &mut Dice) -> Option<()> {
    seen(sketch).first()?;
    sketch.header.promises.p13 = Some(Window { bound: 0 });
    Some(())
}

pub(crate) fn is_slow_to_recover(sketch: &mut Sketch, _: &mut Dice) -> Option<()> {
    sketch.header.promises.p17.as_mut()?.within_ms = 0;
    Some(())
}
