use super::*;
use crate::publisher::{OnFailure, Receipt};

fn options() -> PublisherOptions {
    PublisherOptions::new(Topic::new("t").unwrap())
}

fn keyed(key: &str) -> Message {
    Message::new("x").with_key(key)
}

async fn accept(intake: &Intake, batch: Vec<Message>) -> (Vec<Pending>, Confirmations) {
    let permit = intake.ready(batch.len(), 1).await.unwrap();
    intake.accept(permit, batch)
}

#[tokio::test]
async fn outcomes_come_in_call_order_whatever_order_the_broker_confirms_in() {
    let intake = Intake::new(&options(), 1_000);
    let (mut pending, confirmations) = accept(&intake, vec![keyed("a"), keyed("b")]).await;
    let position = |offset| Some(crate::Position { partition: 0, offset });
    pending.pop().unwrap().confirm(Receipt { position: position(2), duplicate: false });
    pending.pop().unwrap().confirm(Receipt { position: position(1), duplicate: false });
    let offsets: Vec<_> =
        confirmations.await.into_iter().map(|o| o.unwrap().position.unwrap().offset).collect();
    assert_eq!(offsets, [1, 2]);
}

#[tokio::test]
async fn a_failure_holds_its_key_until_resumed() {
    let intake = Intake::new(&options(), 1_000);
    let (mut pending, confirmations) = accept(&intake, vec![keyed("a"), keyed("a"), keyed("b")]).await;
    pending.remove(0).fail(Error::new(Kind::TimedOut, "publish", "no answer"));
    assert_eq!(pending[0].refusal().unwrap().kind(), Kind::KeyHeld, "not yet sent, so it must not be");
    assert!(pending[1].refusal().is_none(), "other keys go on");
    drop(pending);
    let outcomes = confirmations.await;
    let fates: Vec<_> = outcomes.iter().map(|o| o.as_ref().unwrap_err().error().fate()).collect();
    assert_eq!(fates, [Fate::Unknown; 3], "dropped without a word means unknown");
    let (pending, confirmations) = accept(&intake, vec![keyed("a")]).await;
    assert!(pending.is_empty());
    let held = confirmations.await.pop().unwrap().unwrap_err();
    assert_eq!((held.error().kind(), held.error().fate()), (Kind::KeyHeld, Fate::NotApplied));
    assert_eq!(held.message().key, Some("a".into()), "the message comes back");
    intake.resume(&"a".into());
    assert_eq!(accept(&intake, vec![keyed("a")]).await.0.len(), 1);
}

#[tokio::test]
async fn continue_leaves_the_key_open() {
    let intake = Intake::new(&options().on_failure(OnFailure::Continue), 1_000);
    let (mut pending, _) = accept(&intake, vec![keyed("a")]).await;
    pending.remove(0).fail(Error::new(Kind::TimedOut, "publish", "no answer"));
    assert_eq!(accept(&intake, vec![keyed("a")]).await.0.len(), 1);
}

#[tokio::test]
async fn what_no_broker_takes_is_refused_alone() {
    let intake = Intake::new(&options(), 100);
    let batch =
        vec![keyed("a"), keyed("b").with_header("ce_id", "x"), Message::new(vec![0; 100]), keyed("c")];
    let (pending, confirmations) = accept(&intake, batch).await;
    assert_eq!(pending.len(), 2);
    pending.into_iter().for_each(|p| p.confirm(Receipt::default()));
    let kinds: Vec<_> = confirmations.await.into_iter().map(|o| o.err().map(|e| e.error().kind())).collect();
    assert_eq!(kinds, [None, Some(Kind::InvalidConfiguration), Some(Kind::TooLarge), None]);
}

#[tokio::test]
async fn what_comes_before_the_failed_one_goes_on() {
    let intake = Intake::new(&options(), 100);
    let large = Message::new(vec![0; 100]).with_key("a");
    let (pending, confirmations) = accept(&intake, vec![keyed("a"), large, keyed("a")]).await;
    assert_eq!(pending.len(), 1, "what comes after it is held");
    assert!(pending[0].refusal().is_none(), "it was to be sent before the one that failed");
    pending.into_iter().for_each(|p| p.confirm(Receipt::default()));
    let kinds: Vec<_> = confirmations.await.into_iter().map(|o| o.err().map(|e| e.error().kind())).collect();
    assert_eq!(kinds, [None, Some(Kind::TooLarge), Some(Kind::KeyHeld)]);
}

#[tokio::test(start_paused = true)]
async fn the_window_is_the_back_pressure() {
    let intake = Intake::new(&PublisherOptions { window_messages: 2, ..options() }, 1_000);
    let (pending, confirmations) = accept(&intake, vec![keyed("a"), keyed("b")]).await;
    drop(confirmations);
    let full = tokio::time::timeout(Duration::from_secs(1), intake.ready(1, 1)).await;
    assert!(full.is_err(), "dropping the confirmations frees no room");
    let flush = intake.idle(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(flush.kind(), Kind::TimedOut);
    pending.into_iter().for_each(|p| p.confirm(Receipt::default()));
    intake.idle(Duration::from_secs(1)).await.unwrap();
    intake.ready(5, 1).await.expect("more than the window gets the whole of it");
    assert!(intake.close());
    assert_eq!(intake.ready(1, 1).await.unwrap_err().kind(), Kind::Closed);
}

#[tokio::test]
async fn an_empty_batch_is_done_at_once() {
    let intake = Intake::new(&options(), 1_000);
    assert!(accept(&intake, Vec::new()).await.1.await.is_empty());
}

#[tokio::test]
async fn what_was_queued_before_the_failure_does_not_overtake_what_is_sent_again() {
    let intake = Intake::new(&options(), 1_000);
    let (mut first, failed) = accept(&intake, vec![keyed("a")]).await;
    let (queued, queued_outcome) = accept(&intake, vec![keyed("a")]).await;
    first.remove(0).fail(Error::new(Kind::Disconnected, "publish", "gone").with_fate(Fate::NotApplied));
    let (_, message) = failed.await.pop().unwrap().unwrap_err().into_parts();
    intake.resume(&"a".into());
    let (again, _) = accept(&intake, vec![message]).await;
    assert!(again[0].refusal().is_none());
    let refusal = queued[0].refusal().expect("it is older than the resumption");
    queued.into_iter().for_each(|pending| pending.fail(refusal.duplicate()));
    assert_eq!(queued_outcome.await[0].as_ref().unwrap_err().error().kind(), Kind::KeyHeld);
    assert!(again[0].refusal().is_none(), "the refusal of an old message holds nothing again");
}

#[tokio::test]
async fn an_observer_sees_the_outcomes_though_nobody_awaits_them() {
    let intake = Intake::new(&options(), 1_000);
    let (pending, confirmations) = accept(&intake, vec![keyed("a")]).await;
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    drop(confirmations.inspect(move |outcomes| counter.store(outcomes.len(), Ordering::Release)));
    pending.into_iter().for_each(|p| p.confirm(Receipt::default()));
    assert_eq!(seen.load(Ordering::Acquire), 1);
}

#[tokio::test]
async fn a_broker_that_answers_at_once_keeps_the_same_rules() {
    let intake = Intake::new(&PublisherOptions { window_messages: 4, ..options() }, 100);
    let permit = intake.ready(4, 1).await.unwrap();
    let large = Message::new(vec![0; 100]).with_key("c");
    let batch = vec![keyed("a"), keyed("b"), large, keyed("a"), keyed("b"), keyed("c")];
    let mut asked = 0;
    let confirmations = intake.answer(permit, batch, |_| {
        asked += 1;
        if asked == 1 { Err(Error::new(Kind::Throttled, "publish", "full")) } else { Ok(Receipt::default()) }
    });
    assert_eq!(asked, 3, "the large one and the later ones of keys that failed are not even tried");
    intake.idle(Duration::ZERO).await.unwrap();
    intake.ready(4, 1).await.expect("the room is free before anybody has looked at the outcomes");
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    let observed = confirmations.inspect(move |outcomes| counter.store(outcomes.len(), Ordering::Release));
    let outcomes = observed.await;
    assert_eq!(seen.load(Ordering::Acquire), 6);
    let kinds: Vec<_> = outcomes.iter().map(|o| o.as_ref().err().map(|e| e.error().kind())).collect();
    let (full, held) = (Some(Kind::Throttled), Some(Kind::KeyHeld));
    assert_eq!(kinds, [full, None, Some(Kind::TooLarge), held, None, held]);
    assert_eq!(outcomes[3].as_ref().unwrap_err().message().key, Some("a".into()), "the message comes back");
}
