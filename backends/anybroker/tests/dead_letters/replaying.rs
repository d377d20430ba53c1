//! What is replayed is what died, in its order, and nothing is lost on the way.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use anybroker::dead_letter::{Allowed, Filter, ReplayOptions};
use anybroker::{Group, Kind, Message, RecordBuffer, Topic, Topology};
use tokio::time::Instant;

use crate::place::{Place, group, of_key, three_keys, to_the_end};

/// As a message is read.
fn read(message: &Message) -> Message {
    RecordBuffer::new().encode(message).to_message()
}

#[tokio::test(start_paused = true)]
async fn messages_come_again_byte_for_byte_and_in_order_per_key() {
    let place = Place::new("memory://replayed").await;
    let messages: Vec<_> = three_keys(20).iter().map(read).collect();
    place.give_up(messages.clone(), |_| "bad".into()).await;
    let replayed = place.replay(&Filter::default(), ReplayOptions::default()).await;
    assert!(replayed.summary.is_complete() && replayed.errors.is_empty(), "{replayed:?}");
    assert_eq!((replayed.summary.done, replayed.again), (60, 0));
    let received = place.received().await;
    assert_eq!(received.len(), 60);
    for key in ["a", "b", "c"] {
        assert_eq!(of_key(&received, key), of_key(&messages, key));
    }
    assert!(place.left().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_cut_in_the_middle_loses_nothing_and_repeats_nothing() {
    let place = Place::new("memory://cut").await;
    place.give_up(three_keys(20), |_| "bad".into()).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut letters = place.letters().await;
        let rate = NonZeroU32::new(50);
        let mut replay =
            letters.replay(&Filter::default(), ReplayOptions { rate, ..Default::default() }).unwrap();
        for _ in 0..2 {
            assert!(!replay.step().await.is_empty());
        }
        assert!(replay.summary().left > 0);
        // It is dropped, as by somebody who waits no longer.
        drop(replay);
        letters.close().await.unwrap();
        seen.extend(place.received().await);
    }
    assert!(!seen.is_empty() && seen.len() < 60);
    assert_eq!(place.left().await.len(), 60 - seen.len());
    place.replay(&Filter::default(), ReplayOptions::default()).await;
    seen.extend(place.received().await);
    let ids: HashSet<_> = seen.iter().map(|message| message.id.to_string()).collect();
    assert_eq!((seen.len(), ids.len()), (60, 60));
    for key in ["a", "b", "c"] {
        let expected: Vec<_> = (0..20).map(|at| format!("{key}-{at}")).collect();
        assert_eq!(of_key(&seen, key).iter().map(|it| it.id.to_string()).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept() {
    let place = Place::new("memory://rate").await;
    place.give_up(three_keys(20), |_| "bad".into()).await;
    let mut letters = place.letters().await;
    let options = ReplayOptions { rate: NonZeroU32::new(10), ..Default::default() };
    let replay = letters.replay(&Filter::default(), options).unwrap();
    let began = Instant::now();
    let (summary, _) = to_the_end(replay).await;
    let took = began.elapsed();
    assert_eq!(summary.done, 60);
    assert!((Duration::from_millis(5_900)..Duration::from_secs(7)).contains(&took), "{took:?}");
    letters.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn they_go_where_they_are_sent() {
    let place = Place::new("memory://elsewhere").await;
    let elsewhere = Topic::new("elsewhere").unwrap();
    place.broker.admin().declare(&Topology::new(elsewhere.clone()).group(group())).await.unwrap();
    place.give_up(three_keys(2), |_| "bad".into()).await;
    let options = ReplayOptions { to: Some(elsewhere.clone()), ..Default::default() };
    let replayed = place.replay(&Filter::default(), options).await;
    assert_eq!(replayed.summary.done, 6);
    assert!(place.received().await.is_empty());
    assert_eq!(place.broker.admin().backlog(&elsewhere, &group()).await.unwrap(), 6);
}

/// Letters of which some cannot go anywhere, on a broker that creates no topics.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_published_stays_and_so_does_what_follows_it() {
    let place = Place::new("memory://nowhere").await;
    place.give_up(three_keys(2), |_| "bad".into()).await;
    let astray = |at: usize| {
        let message = Message::new("astray").with_key("a").with_id(format!("astray-{at}"));
        message.with_header("dead-letter-reason", "bad").with_header("dead-letter-topic", "no-such-topic")
    };
    let without_envelope = Message::new("bare").with_id("bare");
    let circular = Message::new("").with_id("circular").with_header("dead-letter-topic", place.dead.as_str());
    place.publish(&place.dead, vec![astray(0), astray(1), without_envelope, circular]).await;

    let strict = anybroker::connect("memory://nowhere?topology=check").await.unwrap();
    let place = Place { broker: strict, ..place };
    let replayed = place.replay(&Filter::default(), ReplayOptions::default()).await;
    let summary = replayed.summary;
    assert_eq!((summary.matched, summary.done, summary.failed, summary.left), (10, 6, 3, 1));
    assert!(!summary.is_complete());
    let mut errors: Vec<_> = replayed.errors.iter().map(|kind| kind.as_str()).collect();
    errors.sort_unstable();
    assert_eq!(errors, ["invalid configuration", "invalid configuration", "not found"]);
    let mut left = place.left().await;
    left.sort_unstable();
    assert_eq!(left, ["astray-0", "astray-1", "bare", "circular"]);
    assert_eq!(place.received().await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn letters_that_the_broker_lends_for_a_time_are_not_replayed_when_it_is_over() {
    let place = Place::new("memory://lent?lease=10s").await;
    place.give_up(three_keys(20), |_| "bad".into()).await;
    let mut letters = place.letters().await;
    let options = ReplayOptions { rate: NonZeroU32::new(2), ..Default::default() };
    let mut replay = letters.replay(&Filter::default(), options).unwrap();
    while !replay.step().await.is_empty() {}
    let summary = replay.summary();
    assert!(replay.is_overdue() && summary.left > 0 && summary.again == 0, "{summary:?}");
    replay.close().await.unwrap();
    letters.close().await.unwrap();
    assert_eq!(place.received().await.len(), summary.done);
    let again = place.letters().await;
    assert_eq!(again.held().len(), 60 - summary.done);
    again.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_operators_at_once_replay_nothing_twice() {
    let place = Place::new("memory://two-at-once").await;
    let keys = (0..60).map(|at| Message::new("x").with_id(format!("m-{at}")).with_key(format!("k-{at}")));
    place.give_up(keys.collect(), |_| "bad".into()).await;
    let mut first = place.letters().await;
    let options = ReplayOptions { rate: NonZeroU32::new(10), ..Default::default() };
    let replay = first.replay(&Filter::default(), options.clone()).unwrap();
    let second = async {
        let mut letters = place.letters().await;
        let replay = letters.replay(&Filter::default(), options.clone()).unwrap();
        let ended = to_the_end(replay).await;
        letters.close().await.unwrap();
        ended.0
    };
    let ((of_first, errors), of_second) = tokio::join!(to_the_end(replay), second);
    first.close().await.unwrap();
    assert!(errors.iter().all(|kind| *kind == Kind::Fenced) && !errors.is_empty(), "{errors:?}");
    assert!(of_second.done > 0 && of_first.again + of_second.again == 0, "{of_first:?} {of_second:?}");
    let received = place.received().await;
    let ids: HashSet<_> = received.iter().map(|message| message.id.to_string()).collect();
    assert_eq!((received.len(), ids.len()), (of_first.done + of_second.done, received.len()));
    assert_eq!(place.left().await.len(), 60 - received.len());
}

#[tokio::test(start_paused = true)]
async fn another_group_has_a_view_of_its_own() {
    let place = Place::new("memory://two").await;
    place.give_up(three_keys(4), |_| "bad".into()).await;
    let mut first = place.letters().await;
    let replay = first.replay(&Filter::default(), ReplayOptions::default()).unwrap();
    assert_eq!(first.held().len(), 0);
    let (summary, errors) = to_the_end(replay).await;
    assert_eq!((summary.done, errors), (12, Vec::<Kind>::new()));
    first.close().await.unwrap();
    let other = Group::new("audit").unwrap();
    let other = anybroker::dead_letter::Queue::new(place.broker.clone(), place.dead.clone(), other);
    let mut other = other.idle(Duration::from_millis(200)).open().await.unwrap();
    other.read(|_| false).await.unwrap();
    assert_eq!(other.held().len(), 12);
    other.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn where_the_broker_acknowledges_only_in_order_a_choice_that_it_cannot_keep_is_refused() {
    let place = Place::new("memory://log?like=kafka&partitions=1").await;
    place.give_up(three_keys(2), |_| "bad".into()).await;
    let only_b = Filter { key: Some("b".into()), ..Filter::default() };
    let mut letters = place.letters().await;
    let refused = letters.replay(&only_b, ReplayOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidConfiguration);
    assert!(refused.to_string().contains("2 of the letters, the first of them `b-0`"), "{refused}");
    assert!(letters.discard(&only_b, Allowed::default()).is_err());
    assert_eq!(letters.held().len(), 6, "nothing has been done");
    letters.close().await.unwrap();

    let allowed = Allowed { repeats: true, ..Allowed::default() };
    let replayed = place.replay(&only_b, ReplayOptions { allowed, ..Default::default() }).await;
    assert_eq!((replayed.summary.done, replayed.again), (2, 2), "and it says that they come again");
    assert_eq!(place.left().await.len(), 6);
    let replayed = place.replay(&Filter::default(), ReplayOptions::default()).await;
    assert_eq!((replayed.summary.done, replayed.again), (6, 0));
    assert!(place.left().await.is_empty());
}
