use anybroker_conformance::history::{Event, Evicted, Sketch};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

fn one_group() -> Sketch {
    promising(|promises| promises.p14 = Some(Default::default())).open("s")
}

fn two_groups() -> Sketch {
    one_group().open_as("s2", |it| it.group = "h".into())
}

fn drained(sketch: Sketch) -> Sketch {
    sketch.drained().drained_as("h", "t")
}

#[test]
fn every_group_gets_it() {
    let all = two_groups().publish("m1").ok("m1").deliver("d1", "m1", "s").deliver("d2", "m1", "s2");
    passes(&drained(all), Property::P14, 2);
    let single = one_group().publish("m1").ok("m1").drained();
    says(&single, Property::P14, Verdict::NotExercised);
}

#[test]
fn a_group_that_is_skipped() {
    let skipped = two_groups().publish("m1").ok("m1").deliver("d1", "m1", "s");
    let explanation = "m1 was published but group h never got it";
    violates(&drained(skipped.clone()), Property::P14, &["m1"], &[3, 4, 5, 8], explanation);
    says(&skipped.drained(), Property::P14, Verdict::Inconclusive);
}

#[test]
fn a_durable_group_stays_live_without_sessions() {
    let away = two_groups().close("s2").publish("m1").ok("m1").deliver("d1", "m1", "s");
    assert_eq!(finding(&drained(away), Property::P14).verdict, Verdict::Violation);
}

#[test]
fn a_group_that_came_later_is_not_live() {
    let later = one_group().publish("m1").open_as("s2", |it| it.group = "h".into()).ok("m1");
    passes(&drained(later.deliver("d1", "m1", "s")), Property::P14, 1);
}

#[test]
fn p3s_exemptions_apply() {
    let evicted = Event::Evicted(Evicted { m: "m1".into(), why: "overflow".into() });
    passes(&drained(two_groups().publish("m1").ok("m1").event(evicted)), Property::P14, 2);
    says(&drained(two_groups().publish("m1")), Property::P14, Verdict::NotExercised);
}
