use anybroker_conformance::history::{
    DeadLetterPromise, Deduplication, DeliveryLimit, Event, Evicted, Lease, LossPromise, Outcome,
    SettleVerdict, Sketch, Start,
};
use anybroker_conformance::properties::{Property, Verdict};

use super::{finding, passes, promising, says, violates};

fn sketch() -> Sketch {
    promising(|promises| promises.p3 = Some(LossPromise::default()))
}

fn surviving(kinds: &[&str]) -> Sketch {
    let survives = kinds.iter().map(|kind| kind.to_string()).collect();
    promising(|promises| promises.p3 = Some(LossPromise { survives: Some(survives) }))
}

const LOST: &str = "m1 was confirmed but never delivered to group g";

#[test]
fn acknowledged_messages_are_not_lost() {
    let sketch = sketch().open("s").publish("m1").ok("m1").deliver("d1", "m1", "s").ack("d1").drained();
    passes(&sketch, Property::P3, 1);
}

#[test]
fn a_message_that_never_came() {
    let sketch = sketch().open("s").publish("m1").ok("m1").drained();
    violates(&sketch, Property::P3, &["m1"], &[3, 4, 5], LOST);
}

#[test]
fn a_message_in_the_middle_is_said_to_be() {
    let sketch = sketch().open("s").publish("m1").ok("m1").publish("m2").ok("m2");
    let sketch = sketch.deliver("d", "m2", "s").ack("d").drained();
    let middle = format!("{LOST}, although the later m2 of the same publisher was delivered");
    violates(&sketch, Property::P3, &["m1"], &[3, 4, 9], &middle);
}

#[test]
fn a_nack_release_or_session_end_as_the_last_word() {
    let held = sketch().open("s").publish("m1").ok("m1").deliver("d", "m1", "s");
    let nacked = held.clone().nack("d").settled("d", Outcome::Ok).drained();
    let word = "m1 was confirmed, negatively acknowledged by group g, and never came again";
    violates(&nacked, Property::P3, &["m1"], &[3, 4, 5, 6, 7, 8], word);
    let closed = held.close("s").drained();
    let word = "m1 was confirmed, delivered but not settled by group g, and never came again";
    violates(&closed, Property::P3, &["m1"], &[3, 4, 5, 7], word);
}

#[test]
fn a_failed_ack_does_not_count_but_an_unknown_one_does() {
    let acked = sketch().open("s").publish("m1").ok("m1").deliver("d", "m1", "s").ack("d");
    let failed = acked.clone().settled("d", Outcome::Failed).drained();
    assert_eq!(finding(&failed, Property::P3).verdict, Verdict::Violation);
    passes(&acked.settled("d", Outcome::Unknown).drained(), Property::P3, 1);
}

#[test]
fn a_message_still_held_at_the_drain_is_inconclusive() {
    let held = |sketch: Sketch| sketch.open("s").publish("m1").ok("m1").deliver("d", "m1", "s");
    says(&held(sketch()).drained(), Property::P3, Verdict::Inconclusive);
    let leased = held(promising(|promises| {
        promises.p3 = Some(LossPromise::default());
        promises.p6 = Some(Lease { lease_ms: Some(100) });
    }));
    says(&leased.clone().wait(50).drained(), Property::P3, Verdict::Inconclusive);
    assert_eq!(finding(&leased.wait(101).drained(), Property::P3).verdict, Verdict::Violation);
}

#[test]
fn without_a_drain_a_missing_message_is_inconclusive() {
    let missing = sketch().open("s").publish("m1").ok("m1");
    says(&missing, Property::P3, Verdict::Inconclusive);
    let other_drained =
        missing.clone().open_as("s2", |it| it.group = "g2".into()).deliver("d", "m1", "s2").ack("d");
    says(&other_drained.drained_as("g2", "t"), Property::P3, Verdict::Inconclusive);
    passes(&missing.deliver("d", "m1", "s").ack("d"), Property::P3, 1);
}

#[test]
fn a_drain_binds_only_outcomes_before_it() {
    let early = sketch().open("s").publish("m1").drained().ok("m1");
    says(&early.clone(), Property::P3, Verdict::Inconclusive);
    assert_eq!(finding(&early.drained(), Property::P3).verdict, Verdict::Violation);
}

#[test]
fn a_delivery_after_the_drain_still_counts() {
    let late = sketch().open("s").publish("m1").ok("m1").drained().deliver("d", "m1", "s").ack("d");
    passes(&late, Property::P3, 1);
}

#[test]
fn unknown_publishes_never_prove_loss() {
    let open = sketch().open("s").publish("m1");
    says(&open.clone().drained(), Property::P3, Verdict::NotExercised);
    says(&open.clone().published("m1", Outcome::Unknown).drained(), Property::P3, Verdict::NotExercised);
    says(&open.published("m1", Outcome::Failed).drained(), Property::P3, Verdict::NotExercised);
}

#[test]
fn a_group_is_owed_what_its_start_says() {
    let late = |start| sketch().publish("m1").open_as("s", |it| it.start = start).ok("m1").drained();
    assert_eq!(finding(&late(Start::Earliest), Property::P3).verdict, Verdict::Violation);
    says(&late(Start::Latest), Property::P3, Verdict::NotExercised);
    says(&late(Start::Resume), Property::P3, Verdict::NotExercised);
    let before = sketch().open_as("s", |it| it.start = Start::Latest).publish("m1").ok("m1").drained();
    assert_eq!(finding(&before, Property::P3).verdict, Verdict::Violation);
    let other_topic = sketch().open_as("s", |it| it.topic = "u".into()).publish("m1").ok("m1");
    says(&other_topic.drained_as("g", "u"), Property::P3, Verdict::NotExercised);
}

#[test]
fn the_first_session_says_where_a_group_starts() {
    let sketch =
        sketch().publish("m1").ok("m1").open_as("s1", |it| it.start = Start::Latest).open("s2").drained();
    says(&sketch, Property::P3, Verdict::NotExercised);
}

#[test]
fn evicted_and_dead_lettered_messages_are_not_lost() {
    let evicted = Evicted { m: "m1".into(), why: "retention".into() };
    passes(
        &sketch().open("s").publish("m1").ok("m1").event(Event::Evicted(evicted)).drained(),
        Property::P3,
        1,
    );
    let open = sketch().open("s").publish("m1").ok("m1").deliver("d", "m1", "s");
    let settled = open.clone().settle("d", SettleVerdict::DeadLetter);
    passes(&settled.drained(), Property::P3, 1);
    let open = open.open_as("s2", |it| it.topic = "dead".into());
    passes(&open.deliver_as("d2", "m1", "s2", |it| it.dead_letter = Some(true)).drained(), Property::P3, 1);
}

#[test]
fn a_fault_that_need_not_be_survived_excuses_what_was_not_seen_since() {
    let published = |sketch: Sketch| sketch.open("s").publish("m1").ok("m1");
    says(&published(surviving(&["cut"])).fault("kill").drained(), Property::P3, Verdict::NotExercised);
    let survived = published(surviving(&["kill"])).fault("kill").drained();
    assert_eq!(finding(&survived, Property::P3).verdict, Verdict::Violation);
    let all = published(sketch()).fault("kill").drained();
    assert_eq!(finding(&all, Property::P3).verdict, Verdict::Violation);
    let before = surviving(&[]).open("s").publish("m1").fault("kill").ok("m1").drained();
    assert_eq!(finding(&before, Property::P3).verdict, Verdict::Violation);
    let seen = published(surviving(&[])).fault("kill").deliver("d", "m1", "s").nack("d").drained();
    assert_eq!(finding(&seen, Property::P3).verdict, Verdict::Violation);
}

#[test]
fn what_undoes_a_fault_is_none() {
    for kind in ["restart", "resume", "heal"] {
        let sketch = surviving(&["kill"]).open("s").publish("m1").ok("m1").fault(kind).drained();
        assert_eq!(finding(&sketch, Property::P3).verdict, Verdict::Violation, "{kind}");
    }
}

#[test]
fn a_suppressed_duplicate_counts_as_what_it_duplicates() {
    let history = |sketch: Sketch, duplicate| {
        let first = sketch.open("s").publish("m1").deliver("d", "m1", "s").ack("d");
        let again = first.publish_as("m2", |it| it.dedup = Some("m1".into()));
        again.published_as("m2", |it| it.duplicate = duplicate).drained()
    };
    passes(&history(sketch(), Some(true)), Property::P3, 1);
    assert_eq!(finding(&history(sketch(), None), Property::P3).verdict, Verdict::Violation);
    let deduplicating = promising(|promises| {
        promises.p3 = Some(LossPromise::default());
        promises.p11 = Some(Deduplication { window_ms: 1_000 });
    });
    passes(&history(deduplicating, None), Property::P3, 1);
}

#[test]
fn a_duplicate_of_nothing_is_lost() {
    let sketch = sketch().open("s").publish_as("m2", |it| it.dedup = Some("m1".into()));
    let sketch = sketch.published_as("m2", |it| it.duplicate = Some(true)).drained();
    assert_eq!(finding(&sketch, Property::P3).verdict, Verdict::Violation);
}

#[test]
fn a_message_at_a_limit_that_drops_is_not_lost() {
    let history = |dead_letter| {
        let sketch = promising(|promises| {
            promises.p3 = Some(LossPromise::default());
            promises.p10 = Some(DeliveryLimit { limit: 1, dead_letter });
        });
        sketch.open("s").publish("m1").ok("m1").deliver("d", "m1", "s").nack("d").drained()
    };
    passes(&history(DeadLetterPromise::None), Property::P3, 1);
    passes(&history(DeadLetterPromise::AtMostOnce), Property::P3, 1);
    assert_eq!(finding(&history(DeadLetterPromise::AtLeastOnce), Property::P3).verdict, Verdict::Violation);
}

#[test]
fn a_transaction_counts_once_it_is_committed() {
    let sent = sketch().open("s").begin("x").publish_as("m1", |it| it.transaction = Some("x".into()));
    says(&sent.clone().ok("m1").drained(), Property::P3, Verdict::NotExercised);
    let aborted = sent.clone().abort("x").transaction_end("x", Outcome::Ok).drained();
    says(&aborted, Property::P3, Verdict::NotExercised);
    let committed = sent.commit("x").transaction_end("x", Outcome::Ok).drained();
    violates(&committed, Property::P3, &["m1"], &[4, 6, 7], LOST);
}
