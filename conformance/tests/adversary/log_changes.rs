//! Changes to what a log recorded.

use anybroker_conformance::history::{Deliver, Event, Outcome, SettleVerdict, Sketch};

use super::dice::Dice;
use super::seen::*;

pub(crate) fn changes_a_key(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let victim = dice.pick(&seen(sketch))?;
    deliver_mut(sketch, victim.event).key = Some("another".into());
    Some(())
}

pub(crate) fn loses_a_message(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let mut plain = plain(sketch);
    plain.retain(|m| seen(sketch).iter().all(|it| *it.deliver.m != **m || it.causes_nothing()));
    let victim = dice.pick(&plain)?;
    remove(sketch, |it| *it.deliver.m == *victim);
    Some(())
}

pub(crate) fn stores_twice(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let all = seen(sketch);
    let last = dice.pick(&all[all.len().saturating_sub(3)..])?;
    let position = last.deliver.position.map(|mut position| {
        position.offset += 1_000_000;
        position
    });
    let again = Deliver { d: "new".into(), position, ..last.deliver };
    let end = sketch.events.len() - 1;
    insert(sketch, end, Event::Deliver(again));
    Some(())
}

pub(crate) fn overtakes_a_redelivery(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let all = seen(sketch);
    let nacked = |it: &Seen| it.settle.is_some_and(|(_, verdict)| verdict == SettleVerdict::Nack);
    let partition = |it: &Seen| it.deliver.position.map(|position| position.partition);
    let mut places = Vec::new();
    for victim in all.iter().filter(|it| nacked(it)) {
        let mut next = all.iter().filter(|it| {
            it.event > victim.event
                && it.deliver.session == victim.deliver.session
                && partition(it) == partition(victim)
                && it.event > victim.settle.unwrap().0
        });
        let (Some(again), Some(after)) = (next.next(), next.next()) else { continue };
        let whole = again.deliver.m == victim.deliver.m && after.deliver.position > again.deliver.position;
        let between = &sketch.events[again.event..after.event];
        let elsewhere =
            |it: &Seen| it.deliver.m == victim.deliver.m && victim.event < it.event && it.event < again.event;
        let published = |event: &Event<'_>| matches!(event, Event::Publish(it) if it.m == after.deliver.m);
        let known = sketch.events[..again.event].iter().any(|(_, event)| published(event));
        let quiet = known
            && !all.iter().any(elsewhere)
            && between.iter().all(|(_, it)| !matches!(it, Event::Fault(_) | Event::Revoke(_)));
        if whole && quiet && again.acked() && after.acked() && again.settle.unwrap().0 > after.event {
            places.push((again.clone(), after.clone()));
        }
    }
    let (again, after) = dice.pick(&places)?;
    exchange(sketch, &again, &after);
    Some(())
}

pub(crate) fn gives_a_partition_to_two(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let all = seen(sketch);
    let partition = |it: &Seen| it.deliver.position.map(|position| position.partition);
    let mut places = Vec::new();
    for pair in all.windows(2) {
        let held = pair[0].settle.is_some_and(|(settle, _)| settle > pair[1].event) && pair[1].acked();
        let other = sketch.events[..pair[0].event].iter().rev().find_map(|(_, event)| match event {
            Event::Open(open) if open.session != pair[0].deliver.session => Some(open.clone()),
            _ => None,
        });
        let Some(other) = other else { continue };
        let closed =
            sketch.events.iter().any(|(_, it)| matches!(it, Event::Close(it) if it.session == other.session));
        let read =
            all.iter().any(|it| it.deliver.session == other.session && partition(it) == partition(&pair[0]));
        let one =
            pair[0].deliver.session == pair[1].deliver.session && partition(&pair[0]) == partition(&pair[1]);
        let alike = *other.group == *group_of(sketch, &pair[0].deliver.session);
        if held && one && alike && !closed && !read {
            places.push((pair[1].event, other.session));
        }
    }
    let (event, session) = dice.pick(&places)?;
    deliver_mut(sketch, event).session = session;
    Some(())
}

pub(crate) fn shows_what_was_aborted(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let delivered: Vec<_> = seen(sketch).into_iter().map(|it| it.deliver.m).collect();
    let visible: Vec<_> = publishes(sketch)
        .filter(|it| delivered.contains(&it.m))
        .filter_map(|it| it.transaction.clone())
        .collect();
    let victim = dice.pick(&visible)?;
    for (_, event) in &mut sketch.events {
        match event {
            Event::Commit(it) if it.transaction == victim => *event = Event::Abort(it.clone()),
            Event::TransactionEnd(it) if it.transaction == victim => it.outcome = Outcome::Ok,
            _ => {}
        }
    }
    Some(())
}

pub(crate) fn tears_a_transaction(sketch: &mut Sketch, dice: &mut Dice) -> Option<()> {
    let all = seen(sketch);
    let visible = |m: &str| all.iter().any(|it| &*it.deliver.m == m);
    let untouched = |m: &str| all.iter().all(|it| &*it.deliver.m != m || it.causes_nothing());
    let records: Vec<_> = publishes(sketch).filter(|it| it.transaction.is_some() && visible(&it.m)).collect();
    let torn: Vec<_> = records
        .iter()
        .filter(|it| records.iter().any(|other| other.transaction == it.transaction && other.m != it.m))
        .filter(|it| untouched(&it.m))
        .map(|it| it.m.to_string())
        .collect();
    let victim = dice.pick(&torn)?;
    remove(sketch, |it| *it.deliver.m == *victim);
    Some(())
}

pub(crate) fn goes_back_without_a_cause(sketch: &mut Sketch, _: &mut Dice) -> Option<()> {
    let all = seen(sketch);
    let last = all.last()?;
    let before = all.iter().rev().find(|it| {
        it.deliver.session == last.deliver.session
            && it.deliver.position.map(|it| it.partition) == last.deliver.position.map(|it| it.partition)
            && it.deliver.position < last.deliver.position
    })?;
    let heal = |event: &Event<'_>| matches!(event, Event::Open(_) | Event::Fault(_) | Event::Assign(_));
    if sketch.events[before.event..].iter().any(|(_, event)| heal(event)) {
        return None;
    }
    let again = Deliver { d: "new".into(), ..before.deliver.clone() };
    let end = sketch.events.len() - 1;
    insert(sketch, end, Event::Deliver(again));
    Some(())
}

pub(crate) fn renumbers(sketch: &mut Sketch, _: &mut Dice) -> Option<()> {
    let positions: Vec<_> = seen(sketch).into_iter().filter_map(|it| it.deliver.position).collect();
    if !positions.iter().any(|it| {
        positions.iter().any(|other| other.partition == it.partition && other.offset == it.offset + 1)
    }) {
        return None;
    }
    let of = sketch.clone();
    for (_, event) in &mut sketch.events {
        match event {
            Event::Published(it) => it.position = None,
            Event::Deliver(it) if group_of(&of, &it.session) == "h" => {
                it.position = it.position.map(|mut it| {
                    it.offset += 1;
                    it
                });
            }
            _ => {}
        }
    }
    Some(())
}
