//! What is discarded is gone, and nothing else.

use anybroker::dead_letter::{Allowed, Filter};

use crate::place::{Place, three_keys};

#[tokio::test(start_paused = true)]
async fn only_what_is_meant_is_gone_and_the_rest_is_given_back_in_order() {
    let place = Place::new("memory://discarded?partitions=1").await;
    place.give_up(three_keys(20), |_| "bad".into()).await;
    let mut letters = place.letters().await;
    let only_b = Filter { key: Some("b".into()), ..Filter::default() };
    let mut discard = letters.discard(&only_b, Allowed::default()).unwrap();
    assert_eq!((discard.summary().matched, discard.summary().left), (20, 20));
    let handled = discard.step().await;
    assert!(handled.len() == 20 && handled.iter().all(|one| one.done && one.error.is_none()));
    assert!(discard.step().await.is_empty() && discard.summary().is_complete());
    assert_eq!(letters.close().await.unwrap(), 0);
    let expected: Vec<_> = (0..20).flat_map(|at| ["a", "c"].map(|key| format!("{key}-{at}"))).collect();
    assert_eq!(place.left().await, expected);
    assert!(place.received().await.is_empty(), "what is discarded is not replayed");
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_before_it_began_is_all_there() {
    let place = Place::new("memory://kept").await;
    place.give_up(three_keys(2), |_| "bad".into()).await;
    let mut letters = place.letters().await;
    let discard = letters.discard(&Filter::default(), Allowed::default()).unwrap();
    drop(discard);
    letters.close().await.unwrap();
    assert_eq!(place.left().await.len(), 6);
}
