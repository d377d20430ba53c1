//! Messages that are given up.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::consumer::DeadLetterPolicy;
use crate::dead_letter::DeadLetter;
use crate::kit::{Confirmations, Intake, Permit};
use crate::message::Key;
use crate::publisher::{PublisherOptions, Receipt};
use crate::topic::Position;

/// Publishes into nothing, or refuses.
#[derive(Debug)]
struct Sink {
    intake: Intake,
    refuse: AtomicBool,
    deduplicates: AtomicBool,
    taken: Mutex<Vec<Message>>,
}

#[async_trait]
impl Publisher for Sink {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        self.intake.ready(messages, bytes).await
    }
    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (accepted, confirmations) = self.intake.accept(permit, batch);
        for pending in accepted {
            if self.refuse.load(Ordering::Relaxed) {
                pending.fail(Error::new(Kind::Disconnected, "publish", "gone"));
            } else {
                let (message, mut taken) = (pending.message().unwrap().clone(), self.taken.lock().unwrap());
                let known = taken.iter().any(|one| one.id == message.id);
                let duplicate = known && self.deduplicates.load(Ordering::Relaxed);
                if !duplicate {
                    taken.push(message);
                }
                pending.confirm(Receipt { duplicate, ..Receipt::default() });
            }
        }
        confirmations
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    fn resume(&self, key: &Key) {
        self.intake.resume(key);
    }
    fn topic(&self) -> &Topic {
        self.intake.topic()
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

fn dead_letter_sink(refuse: bool) -> (Topic, Arc<Sink>) {
    let dead = Topic::new("dead").unwrap();
    let intake = Intake::new(&PublisherOptions::new(dead.clone()), 1 << 20);
    let (refuse, deduplicates) = (AtomicBool::new(refuse), AtomicBool::new(false));
    (dead, Arc::new(Sink { intake, refuse, deduplicates, taken: Mutex::default() }))
}

#[tokio::test]
async fn a_void_delivery_is_not_dead_lettered() {
    let (dead, sink) = dead_letter_sink(false);
    let policy = DeadLetterPolicy { topic: dead, max_attempts: None };
    let session = Session::new(subscription().dead_letter(policy), None, Some(sink.clone()));
    let mut consumer = session.connect(Arc::new(NoLink));
    fill(&session, &["a", "a"]);
    let mut batch = consumer.receive(2).await.unwrap().into_iter();
    batch.next().unwrap().nack(Duration::ZERO).await.unwrap();
    let void = batch.next().unwrap().dead_letter("hopeless").await.unwrap_err();
    assert_eq!((void.error().kind(), sink.taken.lock().unwrap().len()), (Kind::Superseded, 0));
}

#[tokio::test(start_paused = true)]
async fn used_up_attempts_end_in_the_dead_letter_topic_before_the_key_goes_on() {
    let (dead, sink) = dead_letter_sink(true);
    let policy = DeadLetterPolicy { topic: dead, max_attempts: Some(2) };
    let session = Session::new(subscription().dead_letter(policy), None, Some(sink.clone()));
    let mut consumer = session.connect(Arc::new(NoLink));
    fill(&session, &["a", "a"]);
    for _ in 0..2 {
        let mut batch = consumer.receive(1).await.unwrap();
        batch.remove(0).nack(Duration::ZERO).await.unwrap();
    }
    let unreachable = tokio::time::timeout(Duration::from_secs(30), consumer.receive(9)).await;
    assert!(unreachable.is_err(), "the key waits while the dead letter topic cannot be reached");
    sink.refuse.store(false, Ordering::Relaxed);
    assert_eq!(payloads(&consumer.receive(9).await.unwrap()), [b"1"]);
    let letters = sink.taken.lock().unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].payload[..], letters[0].key.clone()), (&b"0"[..], Some("a".into())));
    // However long the dead letter topic was away: nobody tried it more often.
    for (name, value) in [
        ("dead-letter-topic", "t"),
        ("dead-letter-group", "g"),
        ("dead-letter-position", "0/0"),
        ("dead-letter-attempts", "2"),
        ("dead-letter-reason", "it failed 2 times, and the subscription allows no more"),
    ] {
        assert_eq!(letters[0].headers.get(name).map(|v| &v[..]), Some(value.as_bytes()));
    }
}

#[tokio::test]
async fn a_dead_letter_says_what_was_said_of_it_and_where_it_came_from() {
    let (dead, sink) = dead_letter_sink(false);
    let policy = DeadLetterPolicy { topic: dead, max_attempts: None };
    let session = Session::new(subscription().dead_letter(policy), None, Some(sink.clone()));
    let mut consumer = session.connect(Arc::new(NoLink));
    fill(&session, &["a"]);
    let delivery = consumer.receive(1).await.unwrap().remove(0);
    let (id, original) = (delivery.id(), delivery.to_message());
    let reason =
        Reason::new(ReasonClass::Poison, "no JSON").with_chain(["eof".to_owned()]).parked_behind("m-0");
    delivery.dead_letter(reason.clone()).await.unwrap();
    let record = RecordBuffer::new().encode(&sink.taken.lock().unwrap()[0]);
    let letter = DeadLetter::read(&record).unwrap();
    assert_eq!((letter.reason, letter.attempts, letter.message_id), (reason, Some(1), id));
    assert_eq!(letter.position, Some(Position { partition: 0, offset: 0 }));
    assert_eq!((letter.topic.unwrap().as_str(), letter.group.unwrap().as_str()), ("t", "g"));
    assert_eq!(DeadLetter::original(&record), original);
}

#[tokio::test]
async fn a_message_that_dies_again_is_not_taken_for_the_letter_that_was_replayed() {
    let (dead, sink) = dead_letter_sink(false);
    sink.deduplicates.store(true, Ordering::Relaxed);
    let policy = DeadLetterPolicy { topic: dead, max_attempts: None };
    let session = Session::new(subscription().dead_letter(policy), None, Some(sink.clone()));
    let mut consumer = session.connect(Arc::new(NoLink));
    let generation = session.assign(0);
    let record = RecordBuffer::new().encode(&Message::new("again").with_id("m").with_key("k"));
    for native in 0..3 {
        let (record, offset) = (record.clone(), Some(native));
        session.push(
            0,
            generation,
            Incoming { record, native, offset, stored: 0, attempts: 0, redelivered: false },
        );
        consumer.receive(1).await.unwrap().remove(0).dead_letter("bad").await.unwrap();
    }
    let letters = sink.taken.lock().unwrap();
    let ids: Vec<_> = letters.iter().map(|letter| letter.id.to_string()).collect();
    assert_eq!(ids, ["m", "m~0/1", "m~0/2"]);
    let originals = letters.iter().map(|it| DeadLetter::original(&RecordBuffer::new().encode(it)).id);
    assert!(originals.into_iter().all(|id| id == "m".into()));
}

#[tokio::test]
async fn a_dead_letter_without_a_topic_is_refused_and_nothing_is_lost() {
    let (_, mut consumer) = session(&["a"]);
    let refused = consumer.receive(1).await.unwrap().remove(0).dead_letter("bad").await.unwrap_err();
    assert_eq!(refused.error().kind(), Kind::InvalidConfiguration);
    let (_, delivery) = refused.into_parts();
    delivery.ack().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn receiving_with_time_outs_dead_letters_once_and_other_keys_go_on() {
    let (dead, sink) = dead_letter_sink(false);
    let policy = DeadLetterPolicy { topic: dead, max_attempts: Some(1) };
    let session = Session::new(subscription().dead_letter(policy), None, Some(sink.clone()));
    let mut consumer = session.connect(Arc::new(NoLink));
    fill(&session, &["a", "b"]);
    consumer.receive(1).await.unwrap().remove(0).nack(Duration::ZERO).await.unwrap();
    let mut received = Vec::new();
    for _ in 0..50 {
        let Ok(batch) = tokio::time::timeout(Duration::from_millis(1), consumer.receive(9)).await else {
            continue;
        };
        for delivery in batch.unwrap() {
            received.push(delivery.payload().clone());
            delivery.ack().await.unwrap();
        }
    }
    assert_eq!((received, sink.taken.lock().unwrap().len()), (vec!["1".into()], 1));
}
