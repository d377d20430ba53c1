use anybroker_conformance::history::Sketch;
use anybroker_conformance::properties::{Property, Verdict};

use super::{passes, promising, says, violates};

fn sketch() -> Sketch {
    promising(|promises| promises.p4 = Some(Default::default())).open("s").publish("m1")
}

#[test]
fn once_to_each_group() {
    says(&sketch(), Property::P4, Verdict::NotExercised);
    let sketch =
        sketch().open_as("s2", |it| it.group = "h".into()).deliver("d1", "m1", "s").deliver("d2", "m1", "s2");
    passes(&sketch, Property::P4, 2);
}

#[test]
fn twice_even_with_a_cause() {
    let sketch = sketch().deliver("d1", "m1", "s").fault("kill").nack("d1").deliver("d2", "m1", "s");
    violates(&sketch, Property::P4, &["m1"], &[4, 7], "m1 was delivered 2 times");
}

#[test]
fn one_record_is_counted() {
    passes(&sketch().deliver_at("d1", "m1", "s", 0).deliver_at("d2", "m1", "s", 1), Property::P4, 2);
    let dead =
        sketch().deliver("d1", "m1", "s").deliver_as("d2", "m1", "s", |it| it.dead_letter = Some(true));
    passes(&dead, Property::P4, 1);
}
