use anybroker_conformance::history::Sketch;
use anybroker_conformance::properties::{Property, Verdict};

use super::{passes, promising, says, violates};

fn sketch() -> Sketch {
    promising(|promises| promises.p5 = Some(Default::default())).open("s").publish("m1")
}

#[test]
fn one_position() {
    says(&sketch().ok("m1").deliver("d", "m1", "s"), Property::P5, Verdict::NotExercised);
    let again = sketch().ok_at("m1", 3).deliver_at("d1", "m1", "s", 3).deliver_at("d2", "m1", "s", 3);
    passes(&again, Property::P5, 1);
}

#[test]
fn two_positions_by_deliveries_or_the_receipt() {
    let explanation = "m1 is stored twice, at 0:3 and at 0:4";
    let receipt = sketch().ok_at("m1", 3).deliver_at("d", "m1", "s", 4);
    violates(&receipt, Property::P5, &["m1"], &[3, 4, 5], explanation);
    let deliveries = sketch().deliver_at("d1", "m1", "s", 3).deliver_at("d2", "m1", "s", 4);
    violates(&deliveries, Property::P5, &["m1"], &[3, 4, 5], explanation);
}

#[test]
fn receipts_of_duplicates_and_dead_letters_do_not_count() {
    let duplicate = sketch().published_as("m1", |it| {
        it.position = Some(Default::default());
        it.duplicate = Some(true);
    });
    passes(&duplicate.deliver_at("d", "m1", "s", 4), Property::P5, 1);
    let dead = Some(Default::default());
    let dead = sketch().ok_at("m1", 3).deliver_as("d", "m1", "s", |it| {
        it.position = dead;
        it.dead_letter = Some(true);
    });
    passes(&dead, Property::P5, 1);
}
