use anybroker_conformance::history::{Outcome, SettleVerdict, Sketch};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

fn sketch() -> Sketch {
    promising(|promises| promises.p12 = Some(Default::default())).open("s")
}

fn nacked(outcome: Outcome, wait: u64) -> Sketch {
    let sketch = sketch().publish("m1").deliver("d1", "m1", "s");
    let nacked = sketch.settle_as("d1", SettleVerdict::Nack, |it| it.delay_ms = Some(100));
    nacked.settled("d1", outcome).wait(wait).deliver("d2", "m1", "s")
}

#[test]
fn a_delayed_nack_counts_from_its_settle_line() {
    passes(&nacked(Outcome::Ok, 99), Property::P12, 1);
    let explanation = "m1 was delivered after 99 ms, not 100 ms";
    violates(&nacked(Outcome::Ok, 98), Property::P12, &["m1"], &[5, 7], explanation);
    says(&nacked(Outcome::Unknown, 5), Property::P12, Verdict::NotExercised);
    says(&nacked(Outcome::Failed, 5), Property::P12, Verdict::NotExercised);
}

#[test]
fn clocks_may_be_apart() {
    let mut sketch = nacked(Outcome::Ok, 90);
    assert_eq!(finding(&sketch, Property::P12).verdict, Verdict::Violation);
    sketch.header.epsilon_ms = 9;
    passes(&sketch, Property::P12, 1);
}

#[test]
fn a_delayed_publish_counts_from_its_line_for_each_group() {
    let published = sketch().open_as("s2", |it| it.group = "h".into());
    let published = published.publish_as("m1", |it| it.delay_ms = Some(100)).wait(100);
    let kept = published.deliver("d1", "m1", "s").deliver("d2", "m1", "s2").deliver("d3", "m1", "s");
    passes(&kept, Property::P12, 2);
    let early = sketch().publish_as("m1", |it| it.delay_ms = Some(100)).wait(50).deliver("d1", "m1", "s");
    let explanation = "m1 was delivered after 50 ms, not 100 ms";
    violates(&early, Property::P12, &["m1"], &[3, 4], explanation);
}

#[test]
fn without_a_delay_there_is_no_floor() {
    let sketch = sketch().publish("m1").deliver("d1", "m1", "s").nack("d1").settled("d1", Outcome::Ok);
    says(&sketch.deliver("d2", "m1", "s"), Property::P12, Verdict::NotExercised);
}
