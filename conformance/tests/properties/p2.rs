use anybroker_conformance::history::{Outcome, Sketch};
use anybroker_conformance::properties::{Property, Verdict};

use super::{passes, promising, says, violates};

fn sketch() -> Sketch {
    promising(|promises| promises.p2 = Some(Default::default())).open("s")
}

#[test]
fn a_failed_publish_stays_invisible() {
    passes(&sketch().publish("m1").published("m1", Outcome::Failed), Property::P2, 1);
    says(&sketch().publish("m1").ok("m1").deliver("d", "m1", "s"), Property::P2, Verdict::NotExercised);
    let unknown = sketch().publish("m1").published("m1", Outcome::Unknown).deliver("d", "m1", "s");
    says(&unknown, Property::P2, Verdict::NotExercised);
}

#[test]
fn a_failed_publish_that_is_delivered() {
    let explanation = "the publish of m1 failed, yet it was delivered";
    let after = sketch().publish("m1").published("m1", Outcome::Failed).deliver("d", "m1", "s");
    violates(&after, Property::P2, &["m1"], &[3, 4, 5], explanation);
    let before = sketch().publish("m1").deliver("d", "m1", "s").published("m1", Outcome::Failed);
    violates(&before, Property::P2, &["m1"], &[3, 4, 5], explanation);
}

#[test]
fn publishes_inside_a_transaction_are_left_to_p15() {
    let inside = sketch().begin("x").publish_as("m1", |it| it.transaction = Some("x".into()));
    let failed = inside.published("m1", Outcome::Failed).deliver("d", "m1", "s");
    says(&failed, Property::P2, Verdict::NotExercised);
}
