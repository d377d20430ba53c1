//! Brokers that store nothing under an id that they have had lately.

use std::time::{Duration, SystemTime};

use anybroker::dead_letter::{DeadLetter, Filter, ReplayOptions};
use anybroker::{ConsumerExt as _, Kind, Message};

use crate::place::{Place, three_keys};

#[tokio::test(start_paused = true)]
async fn what_the_broker_stores_nothing_of_stays_until_its_window_has_passed() {
    let place = Place::new("memory://window?deduplication=10m").await;
    place.give_up(three_keys(2), |_| "bad".into()).await;
    let replayed = place.replay(&Filter::default(), ReplayOptions::default()).await;
    let summary = replayed.summary;
    assert_eq!((summary.done, summary.failed, summary.left), (0, 3, 3), "one of each key is tried");
    assert_eq!(replayed.errors, [Kind::Duplicate; 3]);
    assert!(place.received().await.is_empty());
    assert_eq!(place.left().await.len(), 6, "nothing is lost");

    tokio::time::advance(Duration::from_secs(600)).await;
    assert!(place.replay(&Filter::default(), ReplayOptions::default()).await.summary.is_complete());
    assert_eq!(place.received().await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn with_a_new_id_it_is_stored_at_once_and_keeps_its_own_in_a_header() {
    let place = Place::new("memory://new-ids?deduplication=10m").await;
    place.give_up(three_keys(2), |_| "bad".into()).await;
    let new_ids = ReplayOptions { new_ids: true, ..Default::default() };
    assert!(place.replay(&Filter::default(), new_ids.clone()).await.summary.is_complete());
    let received = place.received().await;
    assert_eq!(received.len(), 6);
    let original =
        |message: &Message| String::from_utf8_lossy(message.headers.get("original-id").unwrap()).into_owned();
    for message in &received {
        assert!(message.id.to_string().starts_with(&format!("{}~", original(message))), "{message:?}");
    }

    // It dies again: the id that it began with stays.
    let first = received.into_iter().find(|message| original(message) == "a-0").unwrap();
    tokio::time::advance(Duration::from_secs(600)).await;
    place.give_up(vec![first], |_| "bad again".into()).await;
    assert!(place.replay(&Filter::default(), new_ids).await.summary.is_complete());
    let again = place.received().await;
    assert_eq!((again.len(), original(&again[0]).as_str()), (1, "a-0"));
    assert_eq!(again[0].headers.iter().filter(|(name, _)| *name == "original-id").count(), 1);
}

/// The letter of its first death is gone, and the broker remembers it nevertheless.
#[tokio::test(start_paused = true)]
async fn a_message_that_dies_again_within_the_window_is_not_lost() {
    let place = Place::new("memory://again?deduplication=10m").await;
    place.publish(&place.topic, vec![Message::new("again").with_id("m").with_key("k")]).await;
    tokio::time::advance(Duration::from_secs(599)).await;
    let mut service = place.service().await;
    service.next().await.unwrap().dead_letter("bad").await.unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(place.replay(&Filter::default(), ReplayOptions::default()).await.summary.is_complete());
    service.next().await.unwrap().dead_letter("bad again").await.unwrap();
    service.close().await.unwrap();
    assert_eq!(place.left().await, ["m"], "the letter says which message it is");
    tokio::time::advance(Duration::from_secs(600)).await;
    assert!(place.replay(&Filter::default(), ReplayOptions::default()).await.summary.is_complete());
    assert_eq!(place.received().await[0].id, "m".into());
}

/// Such a broker drops a message that it knows, and confirms it none the less: what may be one is not sent at all.
#[tokio::test(start_paused = true)]
async fn where_the_broker_does_not_say_that_it_stored_nothing_what_died_lately_is_not_sent() {
    let place = Place::new("memory://silent?like=sqs-fifo").await;
    let letter = |id: &str, died: SystemTime| {
        let letter = DeadLetter {
            topic: Some(place.topic.clone()),
            time: Some(died),
            ..DeadLetter::new("bad".into())
        };
        let mut message = Message::new("x").with_id(id).with_key(id);
        letter.write(&mut message);
        message
    };
    let (now, minute) = (SystemTime::now(), Duration::from_secs(60));
    place.publish(&place.dead, vec![letter("late", now - minute), letter("old", now - 6 * minute)]).await;
    let replayed = place.replay(&Filter::default(), ReplayOptions::default()).await;
    assert_eq!((replayed.summary.done, replayed.summary.failed), (1, 1));
    assert_eq!(replayed.errors, [Kind::Duplicate]);
    let left = place.letters().await;
    assert!(left.held().len() == 1 && left.held()[0].is(&"late".into()));
    left.close().await.unwrap();
    let new_ids = ReplayOptions { new_ids: true, ..Default::default() };
    assert!(place.replay(&Filter::default(), new_ids).await.summary.is_complete());
    assert_eq!(place.received().await.len(), 2);
}
