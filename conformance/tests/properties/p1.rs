use anybroker_conformance::history::{Sketch, Text};
use anybroker_conformance::properties::{Property, Verdict};

use super::{passes, promising, says, violates};

fn sketch() -> Sketch {
    promising(|promises| promises.p1 = Some(Default::default()))
}

#[test]
fn what_was_published_is_delivered() {
    let sketch =
        sketch().open("s").keyed("m1", "k").deliver("d1", "m1", "s").deliver("d2", "m1", "s").ok("m1");
    passes(&sketch, Property::P1, 2);
    says(&super::promising(|it| it.p1 = Some(Default::default())), Property::P1, Verdict::NotExercised);
}

#[test]
fn a_phantom() {
    let sketch = sketch().open("s").publish("m1").deliver("d", "ghost", "s");
    violates(&sketch, Property::P1, &["ghost"], &[4], "ghost was delivered but never published");
}

#[test]
fn a_delivery_before_the_publish() {
    let sketch = sketch().open("s").deliver("d", "m1", "s").publish("m1");
    violates(&sketch, Property::P1, &["m1"], &[3, 4], "m1 was delivered before it was published");
}

#[test]
fn another_payload_key_or_meta() {
    let published = sketch().open("s").publish_as("m1", |it| {
        it.key = Some("k".into());
        it.meta = Some("x".into());
    });
    let changed = |change: fn(&mut anybroker_conformance::history::Deliver<'static>)| {
        published.clone().deliver_as("d", "m1", "s", change)
    };
    let with = |what: &str| format!("m1 was delivered with another {what} than it was published with");
    violates(&changed(|it| it.hash = "y".into()), Property::P1, &["m1"], &[3, 4], &with("payload"));
    violates(&changed(|it| it.key = None), Property::P1, &["m1"], &[3, 4], &with("key"));
    violates(&changed(|it| it.key = Some("l".into())), Property::P1, &["m1"], &[3, 4], &with("key"));
    let headers = "m1 was delivered with other headers than it was published with";
    violates(&changed(|it| it.meta = Some("y".into())), Property::P1, &["m1"], &[3, 4], headers);
    passes(&changed(|it| it.meta = None), Property::P1, 1);
    let null_key = sketch().open("s").publish("m1");
    let keyed = null_key.deliver_as("d", "m1", "s", |it| it.key = Some(Text::from("")));
    violates(&keyed, Property::P1, &["m1"], &[3, 4], &with("key"));
}

#[test]
fn a_delivery_from_another_topic() {
    let other = sketch().open_as("s", |it| it.topic = "other".into()).publish("m1");
    let wrong = "m1 was delivered from a topic that it was not published to";
    violates(&other.clone().deliver("d", "m1", "s"), Property::P1, &["m1"], &[3, 4], wrong);
    passes(&other.deliver_as("d", "m1", "s", |it| it.dead_letter = Some(true)), Property::P1, 1);
}
