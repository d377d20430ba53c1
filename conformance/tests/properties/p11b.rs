use anybroker_conformance::history::{Event, Evicted, Sketch, Start};
use anybroker_conformance::properties::{Property, Verdict};

use super::{passes, promising, says, violates};

fn sketch() -> Sketch {
    promising(|promises| promises.p11b = Some(Default::default()))
}

fn suppressed(sketch: Sketch) -> Sketch {
    sketch.publish("m1").published_as("m1", |it| it.duplicate = Some(true))
}

#[test]
fn a_new_message_that_is_suppressed() {
    let lost = suppressed(sketch().open("s")).drained();
    let explanation = "m1 is new but was called a duplicate, and was delivered to nobody";
    violates(&lost, Property::P11b, &["m1"], &[3, 4, 5], explanation);
    says(&suppressed(sketch().open("s")), Property::P11b, Verdict::Inconclusive);
}

#[test]
fn a_new_message_that_is_stored() {
    passes(&sketch().open("s").publish("m1").ok("m1").drained(), Property::P11b, 1);
    passes(&suppressed(sketch().open("s")).deliver("d", "m1", "s").drained(), Property::P11b, 1);
}

#[test]
fn a_known_id_may_be_suppressed() {
    let known = sketch().open("s").publish("m0").publish_as("m1", |it| it.dedup = Some("m0".into()));
    let known = known.published_as("m1", |it| it.duplicate = Some(true)).drained();
    says(&known, Property::P11b, Verdict::NotExercised);
    let elsewhere = sketch().open("s").publish_as("m0", |it| {
        it.topic = "u".into();
        it.dedup = Some("m1".into());
    });
    let elsewhere = suppressed(elsewhere).drained();
    assert_eq!(super::finding(&elsewhere, Property::P11b).verdict, Verdict::Violation);
}

#[test]
fn of_two_published_at_once_either_may_be_the_duplicate() {
    let both = sketch().open("s").publish("m1").publish_as("m2", |it| it.dedup = Some("m1".into()));
    let both = both.ok("m2").published_as("m1", |it| it.duplicate = Some(true));
    let stored = both.deliver("d", "m2", "s").drained();
    passes(&stored, Property::P11b, 1);
    let both = sketch().open("s").publish("m1").publish_as("m2", |it| it.dedup = Some("m1".into()));
    let neither = both.ok("m2").published_as("m1", |it| it.duplicate = Some(true)).drained();
    assert_eq!(super::finding(&neither, Property::P11b).verdict, Verdict::Violation);
}

#[test]
fn p3s_exemptions_apply() {
    let evicted = Event::Evicted(Evicted { m: "m1".into(), why: "overflow".into() });
    passes(&suppressed(sketch().open("s")).event(evicted).drained(), Property::P11b, 1);
    let late = suppressed(sketch()).open_as("s", |it| it.start = Start::Latest).drained();
    passes(&late, Property::P11b, 1);
}
