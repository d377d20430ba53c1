use anybroker_conformance::history::{Deduplication, Event, Evicted, LossPromise, Outcome, Sketch, Start};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

fn sketch() -> Sketch {
    promising(|promises| promises.p3p = Some(Default::default()))
}

fn published(sketch: Sketch) -> Sketch {
    sketch.open("s").publish("m1").ok_at("m1", 0).publish("m2").ok_at("m2", 1)
}

#[test]
fn nothing_skipped() {
    passes(
        &published(sketch()).deliver_at("d1", "m1", "s", 0).deliver_at("d2", "m2", "s", 1),
        Property::P3p,
        1,
    );
    says(&published(sketch()).deliver_at("d1", "m1", "s", 0), Property::P3p, Verdict::NotExercised);
}

#[test]
fn a_skipped_message_needs_no_drain() {
    let skipped = published(sketch()).deliver_at("d2", "m2", "s", 1);
    let explanation = "m2 was delivered although m1 before it was skipped";
    violates(&skipped, Property::P3p, &["m1", "m2"], &[3, 4, 7], explanation);
}

#[test]
fn the_position_may_be_known_from_another_group() {
    let sketch = sketch().open("s").open_as("s2", |it| it.group = "h".into()).publish("m1").ok("m1");
    let sketch = sketch.publish("m2").ok("m2").deliver_at("d1", "m1", "s2", 0).deliver_at("d2", "m2", "s", 1);
    let explanation = "m2 was delivered in group g although m1 before it was skipped";
    violates(&sketch, Property::P3p, &["m1", "m2"], &[4, 5, 9], explanation);
}

#[test]
fn other_partitions_do_not_count() {
    let elsewhere = Some(anybroker_conformance::history::Position { partition: 1, offset: 5 });
    let sketch = published(sketch()).deliver_as("d2", "m2", "s", |it| it.position = elsewhere);
    says(&sketch, Property::P3p, Verdict::NotExercised);
}

#[test]
fn only_confirmed_messages_from_the_groups_start_on() {
    let unknown = sketch().open("s").publish("m1").publish("m2").ok_at("m2", 1);
    let unknown = unknown.published_as("m1", |it| {
        it.outcome = Outcome::Unknown;
        it.position = Some(Default::default());
    });
    says(&unknown.deliver_at("d2", "m2", "s", 1), Property::P3p, Verdict::NotExercised);
    let late = |start| {
        let sketch = sketch().publish("m1").ok_at("m1", 0).open_as("s", |it| it.start = start);
        sketch.publish("m2").ok_at("m2", 1).deliver_at("d2", "m2", "s", 1)
    };
    says(&late(Start::Latest), Property::P3p, Verdict::NotExercised);
    assert_eq!(finding(&late(Start::Earliest), Property::P3p).verdict, Verdict::Violation);
}

#[test]
fn p3s_exemptions_apply() {
    let evicted = Event::Evicted(Evicted { m: "m1".into(), why: "retention".into() });
    let evicted = published(sketch()).event(evicted).deliver_at("d2", "m2", "s", 1);
    says(&evicted, Property::P3p, Verdict::NotExercised);
    let dead = published(sketch()).deliver_as("d1", "m1", "s", |it| it.dead_letter = Some(true));
    says(&dead.deliver_at("d2", "m2", "s", 1), Property::P3p, Verdict::NotExercised);
    let died = promising(|promises| {
        promises.p3 = Some(LossPromise { survives: Some(Vec::new()) });
        promises.p3p = Some(Default::default());
    });
    says(&published(died).fault("kill").deliver_at("d2", "m2", "s", 1), Property::P3p, Verdict::NotExercised);
    let duplicate = sketch().open("s").publish("m1").publish("m2").ok_at("m2", 1);
    let duplicate = duplicate.published_as("m1", |it| {
        it.position = Some(Default::default());
        it.duplicate = Some(true);
    });
    says(&duplicate.deliver_at("d2", "m2", "s", 1), Property::P3p, Verdict::NotExercised);
    let aborted = sketch().open("s").begin("x").publish_as("m1", |it| it.transaction = Some("x".into()));
    let aborted = aborted.ok_at("m1", 0).abort("x").publish("m2").ok_at("m2", 1);
    says(&aborted.deliver_at("d2", "m2", "s", 1), Property::P3p, Verdict::NotExercised);
}

#[test]
fn a_duplicate_counts_as_what_it_duplicates_where_p11_is_promised() {
    let sketch = promising(|promises| {
        promises.p3p = Some(Default::default());
        promises.p11 = Some(Deduplication { window_ms: 100 });
    });
    let sketch = sketch.open("s").publish("m0").publish_as("m1", |it| it.dedup = Some("m0".into()));
    let sketch = sketch.ok_at("m1", 0).publish("m2").ok_at("m2", 1).deliver_at("d0", "m0", "s", 0);
    passes(&sketch.deliver_at("d2", "m2", "s", 1), Property::P3p, 1);
}
