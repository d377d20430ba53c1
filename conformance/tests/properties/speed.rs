//! Histories of every shape are checked in time: what is quadratic would take minutes.

use std::time::{Duration, Instant};

use anybroker_conformance::history::{
    DeadLetterPromise, Deduplication, DeliveryLimit, Exclusive, Lease, LossPromise, Mark, Nothing, Order,
    OrderScope, Progress, Promises, RedeliveryMark, Sketch, Window, read,
};
use anybroker_conformance::properties::check;

const MESSAGES: usize = 20_000;
const ALLOWED: Duration = Duration::from_secs(30);

fn everything() -> Sketch {
    let nothing = Some(Nothing {});
    Sketch::new(Promises {
        p1: nothing,
        p2: nothing,
        p3: Some(LossPromise::default()),
        p3p: nothing,
        p4: nothing,
        p5: nothing,
        p6: Some(Lease { lease_ms: Some(1_000) }),
        p6b: nothing,
        p7: Some(Order { scope: OrderScope::Key }),
        p7r: Some(Order { scope: OrderScope::Key }),
        p8: Some(Exclusive { scope: OrderScope::Key, lease_ms: None }),
        p9: Some(RedeliveryMark { mark: Mark::Count }),
        p10: Some(DeliveryLimit { limit: 3, dead_letter: DeadLetterPromise::AtLeastOnce }),
        p11: Some(Deduplication { window_ms: 1_000_000 }),
        p11b: nothing,
        p12: nothing,
        p13: Some(Window { bound: 10 }),
        p14: nothing,
        p15: nothing,
        p16: Some(Default::default()),
        p17: Some(Progress { within_ms: 1_000 }),
    })
}

fn in_time(sketch: &Sketch) {
    let file = sketch.bytes();
    let start = Instant::now();
    let report = check(&read(file.as_slice()).unwrap());
    assert!(start.elapsed() < ALLOWED, "{:?}\n{report}", start.elapsed());
}

fn each(sketch: Sketch, step: impl Fn(Sketch, usize) -> Sketch) -> Sketch {
    (0..MESSAGES).fold(sketch, step)
}

#[test]
fn a_hundred_thousand_ordinary_events() {
    let sketch = each(everything().open("s"), |sketch, i| {
        let (m, d) = (format!("m{i}"), format!("d{i}"));
        let published = sketch.keyed(&m, "k").ok_at(&m, i as u64).deliver_at(&d, &m, "s", i as u64);
        published.ack(&d).settled(&d, anybroker_conformance::history::Outcome::Ok)
    });
    assert_eq!(sketch.events.len(), 5 * MESSAGES + 1);
    in_time(&sketch.drained());
}

#[test]
fn everything_in_reverse_and_held() {
    let published = each(everything().open("s").open("s2"), |sketch, i| sketch.keyed(&format!("m{i}"), "k"));
    let published = each(published, |sketch, i| sketch.ok(&format!("m{i}")));
    let delivered = each(published, |sketch, i| {
        let i = MESSAGES - 1 - i;
        sketch.deliver_at(
            &format!("d{i}"),
            &format!("m{i}"),
            if i.is_multiple_of(2) { "s" } else { "s2" },
            i as u64,
        )
    });
    in_time(&delivered.drained());
}

#[test]
fn one_message_again_and_again() {
    let sketch = everything().open("s").keyed("m", "k").ok("m");
    let sketch = each(sketch, |sketch, i| sketch.deliver(&format!("d{i}"), "m", "s").nack(&format!("d{i}")));
    in_time(&sketch.drained());
    let sketch = each(everything().publish("m"), |sketch, i| {
        let (s, d) = (format!("s{i}"), format!("d{i}"));
        let acked = sketch.open(&s).deliver_at(&d, "m", &s, 7).ack(&d);
        acked.settled(&d, anybroker_conformance::history::Outcome::Ok).close(&s)
    });
    in_time(&sketch.drained());
}

#[test]
fn everything_of_one_deduplication_id_and_nothing_delivered() {
    let sketch = each(everything().open("s"), |sketch, i| {
        let m = format!("m{i}");
        sketch
            .publish_as(&m, |it| it.dedup = Some("x".into()))
            .published_as(&m, |it| it.duplicate = Some(true))
    });
    in_time(&sketch.drained());
}

#[test]
fn everything_in_one_transaction() {
    let inside = |sketch: Sketch, i: usize| {
        sketch.publish_as(&format!("m{i}"), |it| it.transaction = Some("x".into()))
    };
    let sketch = each(everything().open("s").begin("x"), inside).commit("x");
    let sketch = each(sketch, |sketch, i| sketch.deliver(&format!("d{i}"), &format!("m{i}"), "s"));
    in_time(&sketch.drained());
}
