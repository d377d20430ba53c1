//! Which letters are meant, and which choices are refused.

use std::time::{Duration, SystemTime};

use anybroker::dead_letter::{Allowed, Filter, ReplayOptions};
use anybroker::{Delivery, Kind, Message, Reason, ReasonClass};

use crate::place::{Place, of_key, three_keys};

/// `a` is retryable, `b` poison, `c` waits behind `c-0`.
fn why(delivery: &Delivery) -> Reason {
    match delivery.key() {
        Some(b"a") => {
            Reason::new(ReasonClass::Retryable, "no answer").with_chain(["Connection refused".to_owned()])
        }
        Some(b"b") => Reason::new(ReasonClass::Poison, "no JSON"),
        _ => Reason::new(ReasonClass::Parked, "it waits").parked_behind("c-0"),
    }
}

#[tokio::test(start_paused = true)]
async fn each_filter_means_what_it_says() {
    let place = Place::new("memory://filters").await;
    let before = SystemTime::now() - Duration::from_secs(1);
    place.give_up(three_keys(2), why).await;
    let stranger = Message::new("no envelope").with_id("stranger").with_key("s").with_type("type.s");
    place.publish(&place.dead, vec![stranger]).await;
    let letters = place.letters().await;
    let all = Filter::default();
    let later = SystemTime::now() + Duration::from_secs(60);
    let cases: [(&str, Filter, &[&str]); 14] = [
        ("type", Filter { event_type: Some("type.a".into()), ..all.clone() }, &["a-0", "a-1"]),
        ("reason", Filter { error: Some("NO JSON".into()), ..all.clone() }, &["b-0", "b-1"]),
        ("cause", Filter { error: Some("refused".into()), ..all.clone() }, &["a-0", "a-1"]),
        ("class", Filter { class: Some(ReasonClass::Poison), ..all.clone() }, &["b-0", "b-1"]),
        ("parked", Filter { class: Some(ReasonClass::Parked), ..all.clone() }, &["c-0", "c-1"]),
        ("key", Filter { key: Some("c".into()), ..all.clone() }, &["c-0", "c-1"]),
        ("id", Filter { ids: vec!["a-1".into(), "stranger".into()], ..all.clone() }, &["a-1", "stranger"]),
        (
            "origin",
            Filter { origin: Some(place.topic.clone()), ..all.clone() },
            &["a-0", "a-1", "b-0", "b-1", "c-0", "c-1"],
        ),
        ("another origin", Filter { origin: Some(place.dead.clone()), ..all.clone() }, &[]),
        ("since", Filter { since: Some(before), ..all.clone() }, &["a-0", "a-1", "b-0", "b-1", "c-0", "c-1"]),
        ("since later", Filter { since: Some(later), ..all.clone() }, &[]),
        ("until", Filter { until: Some(before), ..all.clone() }, &[]),
        (
            "two",
            Filter { key: Some("a".into()), ids: vec!["a-1".into(), "b-1".into()], ..all.clone() },
            &["a-1"],
        ),
        ("all", all, &["a-0", "a-1", "b-0", "b-1", "c-0", "c-1", "stranger"]),
    ];
    for (what, filter, expected) in cases {
        let mut ids: Vec<_> = letters.matching(&filter).map(|it| it.id().unwrap().to_string()).collect();
        ids.sort_unstable();
        assert_eq!(ids, expected, "{what}");
    }
    letters.close().await.unwrap();
    assert_eq!(place.left().await.len(), 7, "looking takes nothing away");
}

#[tokio::test(start_paused = true)]
async fn a_choice_that_would_break_a_key_s_order_is_refused() {
    let place = Place::new("memory://gaps").await;
    place.give_up(three_keys(3), why).await;
    let later = Filter { ids: vec!["a-0".into(), "b-2".into()], ..Filter::default() };
    let mut letters = place.letters().await;
    let refused = letters.replay(&later, ReplayOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidConfiguration);
    let text = refused.to_string();
    assert!(text.contains("`b-2` would overtake `b-0` of the key `b`"), "{text}");
    assert_eq!(letters.held().len(), 9, "nothing has been done");
    letters.close().await.unwrap();

    // The first of a key, and a whole key, break nothing.
    for (filter, count) in [
        (Filter { ids: vec!["a-0".into()], ..Filter::default() }, 1),
        (Filter { key: Some("b".into()), ..Filter::default() }, 3),
    ] {
        let replayed = place.replay(&filter, ReplayOptions::default()).await;
        assert_eq!((replayed.summary.matched, replayed.summary.done), (count, count));
    }
    let allowed = Allowed { gaps: true, ..Allowed::default() };
    let last = Filter { ids: vec!["c-2".into()], ..Filter::default() };
    let replayed = place.replay(&last, ReplayOptions { allowed, ..Default::default() }).await;
    assert!(replayed.summary.is_complete());
    let mut left = place.left().await;
    left.sort_unstable();
    assert_eq!(left, ["a-1", "a-2", "c-0", "c-1"]);
    let received = place.received().await;
    assert_eq!((received.len(), of_key(&received, "b").len()), (5, 3));
}

/// The same key of two topics is two keys.
#[tokio::test(start_paused = true)]
async fn a_letter_of_another_topic_is_not_overtaken() {
    let place = Place::new("memory://topics").await;
    let other =
        Message::new("other").with_key("a").with_id("other").with_header("dead-letter-topic", "invoices");
    place.publish(&place.dead, vec![other]).await;
    place.give_up(three_keys(1), why).await;
    let of_orders = Filter { origin: Some(place.topic.clone()), ..Filter::default() };
    assert_eq!(place.replay(&of_orders, ReplayOptions::default()).await.summary.done, 3);
    assert_eq!(place.left().await, ["other"]);
}
