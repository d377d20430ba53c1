use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::consumer::Consumer;
use crate::consumer::DeadLetterPolicy;
use crate::dead_letter::DeadLetter;
use crate::error::Kind;
use crate::kit::{Ack, Confirmations, Intake, Permit};
use crate::message::{Key, Message, RecordBuffer};
use crate::publisher::{PublisherOptions, Receipt};
use crate::topic::Position;

struct NoLink;

#[async_trait]
impl Link for NoLink {
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

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

fn subscription() -> Subscription {
    Subscription::new(Topic::new("t").unwrap(), Group::new("g").unwrap())
}

fn incoming(native: u64, key: &str) -> Incoming {
    let record = RecordBuffer::new().encode(&Message::new(native.to_string()).with_key(key));
    Incoming { record, native, offset: Some(native), stored: 0, attempts: 0, redelivered: false }
}

/// A session with one partition that holds a message for each key.
fn session(keys: &[&str]) -> (Arc<Session>, Box<SessionConsumer>) {
    let session = Session::new(subscription(), None, None);
    let consumer = Box::new(session.connect(Arc::new(NoLink)));
    fill(&session, keys);
    (session, consumer)
}

fn fill(session: &Session, keys: &[&str]) {
    let generation = session.assign(0);
    session.push_all(0, generation, keys.iter().enumerate().map(|(at, key)| incoming(at as u64, key)));
}

fn payloads(batch: &[Delivery]) -> Vec<&[u8]> {
    batch.iter().map(|d| &d.payload()[..]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_receive_strands_nothing() {
    let (session, mut consumer) = session(&[]);
    let generation = session.assign(0);
    let cancelled = tokio::time::timeout(Duration::from_secs(1), consumer.receive(9)).await;
    assert!(cancelled.is_err());
    session.push(0, generation, incoming(0, "a"));
    assert_eq!(payloads(&consumer.receive(9).await.unwrap()), [b"0"]);
}

#[tokio::test]
async fn dropping_releases_in_order_and_counts_no_attempt() {
    let (_, mut consumer) = session(&["a", "b", "a"]);
    drop(consumer.receive(9).await.unwrap());
    let again = consumer.receive(9).await.unwrap();
    assert_eq!(payloads(&again), [b"0", b"1", b"2"]);
    assert!(again.iter().all(|d| d.attempt() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_nack_waits_for_its_delay_while_other_keys_go_on() {
    let (session, mut consumer) = session(&["a", "b", "a"]);
    let mut batch = consumer.receive(9).await.unwrap().into_iter();
    let started = tokio::time::Instant::now();
    batch.next().unwrap().nack(Duration::from_secs(60)).await.unwrap();
    assert_eq!(batch.next().unwrap().ack().await.unwrap(), Settled::Recorded);
    let void = batch.next().unwrap().ack().await.unwrap_err();
    assert_eq!(void.error().kind(), Kind::Superseded);
    drop(void);
    let again = consumer.receive(9).await.unwrap();
    assert_eq!(payloads(&again), [b"0", b"2"]);
    assert_eq!((again[0].attempt(), again[0].redelivered()), (2, true));
    assert!(started.elapsed() >= Duration::from_secs(60));
    assert_eq!(session.flush().await.unwrap().messages, 1, "the acknowledgement of b waits behind a");
}

#[tokio::test]
async fn after_close_settling_fails_and_hands_the_delivery_back() {
    let (_, mut consumer) = session(&["a"]);
    let delivery = consumer.receive(1).await.unwrap().remove(0);
    consumer.close().await.unwrap();
    let (error, delivery) = delivery.ack().await.unwrap_err().into_parts();
    assert_eq!((error.kind(), &delivery.payload()[..]), (Kind::Closed, &b"0"[..]));
}

#[tokio::test]
async fn what_is_dropped_after_the_session_keeps_its_attempt() {
    let (session, mut consumer) = session(&["a"]);
    let held = consumer.receive(1).await.unwrap();
    drop(consumer);
    drop(held);
    assert_eq!(session.revoke(0)[0].attempts, 1);
}

#[tokio::test]
async fn a_partition_is_not_drained_while_somebody_works_on_what_is_void() {
    let (session, mut consumer) = session(&["a", "a"]);
    let mut batch = consumer.receive(9).await.unwrap().into_iter();
    let (first, void) = (batch.next().unwrap(), batch.next().unwrap());
    first.nack(Duration::from_secs(60)).await.unwrap();
    session.drain(0);
    assert!(!session.is_drained(0));
    drop(void);
    assert!(session.is_drained(0));
}

#[tokio::test]
async fn draining_hands_nothing_out_and_ends_when_everything_is_settled() {
    let (session, mut consumer) = session(&["a", "b"]);
    let held = consumer.receive(1).await.unwrap().remove(0);
    session.drain(0);
    assert!(!session.drained(0, Duration::from_millis(10)).await);
    let drained = session.drained(0, Duration::from_secs(10));
    let (drained, settled) = tokio::join!(drained, held.ack());
    assert!(drained && settled.is_ok());
    assert_eq!(session.revoke(0).len(), 1);
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

#[tokio::test]
async fn a_failed_session_ends_the_wait_with_its_error() {
    let (session, mut consumer) = session(&[]);
    let fail = async { session.fail(Error::new(Kind::PermissionDenied, "receive", "no longer allowed")) };
    let (received, ()) = tokio::join!(consumer.receive(1), fail);
    assert_eq!(received.unwrap_err().kind(), Kind::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_although_an_earlier_message_of_the_key_fails_after_it() {
    let (_, mut consumer) = session(&["a", "a"]);
    let mut batch = consumer.receive(2).await.unwrap();
    let began = Instant::now();
    batch.pop().unwrap().nack(Duration::from_secs(10)).await.unwrap();
    batch.pop().unwrap().nack(Duration::ZERO).await.unwrap();
    let first = consumer.receive(2).await.unwrap();
    assert_eq!(payloads(&first), [b"0"]);
    drop(first);
    let mut last = consumer.receive(2).await.unwrap();
    last.remove(0).ack().await.unwrap();
    assert_eq!(payloads(&consumer.receive(2).await.unwrap()), [b"1"]);
    assert!(began.elapsed() >= Duration::from_secs(10));
}

#[tokio::test]
async fn a_released_delivery_is_marked_when_it_comes_again() {
    let (_, mut consumer) = session(&["a"]);
    drop(consumer.receive(1).await.unwrap());
    let again = consumer.receive(1).await.unwrap();
    assert_eq!((again[0].attempt(), again[0].redelivered()), (1, true));
}

/// Confirms when it is told to.
#[derive(Default)]
struct SlowLink {
    asked: Notify,
    answer: Notify,
}

#[async_trait]
impl Link for SlowLink {
    fn confirms(&self) -> bool {
        true
    }
    async fn acknowledge(&self, acks: &[Ack]) -> Vec<Result<Settled>> {
        self.asked.notify_one();
        self.answer.notified().await;
        acks.iter().map(|_| Ok(Settled::Confirmed)).collect()
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_partition_is_not_drained_while_an_acknowledgement_is_on_its_way() {
    let session = Session::new(subscription(), None, None);
    let link = Arc::new(SlowLink::default());
    let mut consumer = session.connect(link.clone());
    fill(&session, &["a"]);
    let delivery = consumer.receive(1).await.unwrap().remove(0);
    session.drain(0);
    let acknowledging = tokio::spawn(delivery.ack());
    link.asked.notified().await;
    assert!(!session.is_drained(0));
    link.answer.notify_one();
    assert_eq!(acknowledging.await.unwrap().unwrap(), Settled::Confirmed);
    assert!(session.is_drained(0));
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

#[tokio::test]
async fn what_the_broker_took_back_is_gone_and_comes_only_if_it_is_pushed_again() {
    let (session, mut consumer) = session(&["a", "b", "a", "a"]);
    let room = session.room();
    let mut batch = consumer.receive(3).await.unwrap().into_iter();
    batch.next().unwrap().nack(Duration::ZERO).await.unwrap();
    session.lose(0, [0, 2, 3]);
    let (b, void) = (batch.next().unwrap(), batch.next().unwrap());
    assert_eq!(void.ack().await.unwrap_err().error().kind(), Kind::Superseded);
    b.ack().await.unwrap();
    assert_eq!(session.room().messages, room.messages + 4);
    let generation = session.partitions().len() as u32;
    session.push(0, generation, incoming(4, "a"));
    let mut again = consumer.receive(9).await.unwrap();
    assert_eq!(payloads(&again), [b"4"]);
    session.lose(0, [4]);
    let late = again.remove(0).ack().await.unwrap_err();
    assert_eq!(late.error().kind(), Kind::LeaseExpired);
    drop(late);
    assert!(session.is_drained(0) && session.revoke(0).is_empty());
}

#[tokio::test]
async fn a_message_lost_while_it_is_acknowledged_is_what_the_broker_answers() {
    let session = Session::new(subscription(), None, None);
    let link = Arc::new(SlowLink::default());
    let mut consumer = session.connect(link.clone());
    fill(&session, &["a", "b"]);
    let mut batch = consumer.receive(2).await.unwrap().into_iter();
    let acknowledging = tokio::spawn(batch.next().unwrap().ack());
    link.asked.notified().await;
    session.lose(0, [0, 1]);
    link.answer.notify_one();
    assert_eq!(acknowledging.await.unwrap().unwrap(), Settled::Confirmed);
    let late = batch.next().unwrap().ack().await.unwrap_err();
    assert_eq!(late.error().kind(), Kind::LeaseExpired);
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_time_is_up_hands_out_and_settles_nothing() {
    let (session, mut consumer) = session(&["a", "b"]);
    session.hold_until(0, Instant::now() + Duration::from_secs(5));
    let held = consumer.receive(1).await.unwrap().pop().unwrap();
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(held.ack().await.unwrap_err().error().kind(), Kind::Fenced);
    let late = tokio::time::timeout(Duration::from_secs(1), consumer.receive(1)).await;
    assert!(late.is_err(), "handed out after its time: {late:?}");
    session.hold_until(0, Instant::now() + Duration::from_secs(5));
    // Nobody else had it meanwhile.
    assert_eq!(payloads(&consumer.receive(1).await.unwrap()), [b"0"]);
}

/// A link that holds its session, as those of adapters do.
struct Holding(#[expect(dead_code, reason = "held, not used")] Arc<Session>);

#[async_trait]
impl Link for Holding {
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_consumer_that_has_gone_leaves_nothing_behind() {
    for close in [true, false] {
        let session = Session::new(subscription(), None, None);
        let consumer = Box::new(session.connect(Arc::new(Holding(session.clone()))));
        let (left, settler) = (Arc::downgrade(&session), consumer.settler());
        drop(session);
        if close {
            consumer.close().await.unwrap();
        } else {
            drop(consumer);
        }
        assert_eq!(settler.flush().await.unwrap_err().kind(), Kind::Closed);
        drop(settler);
        assert!(left.upgrade().is_none(), "closed in order: {close}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_let_go_while_the_partition_may_be_anothers_comes_again_if_it_is_renewed() {
    let (session, mut consumer) = session(&["a", "a", "b"]);
    session.hold_until(0, Instant::now() + Duration::from_secs(5));
    let mut batch = consumer.receive(9).await.unwrap();
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(!session.is_current(batch[0].token()));
    let refused = batch.pop().unwrap().ack().await.unwrap_err();
    assert_eq!(refused.error().kind(), Kind::Fenced);
    drop((refused, batch));
    session.hold_until(0, Instant::now() + Duration::from_secs(5));
    let mut again: Vec<_> =
        payloads(&consumer.receive(9).await.unwrap()).iter().map(|p| p.to_vec()).collect();
    again.sort();
    assert_eq!(again, [b"0", b"1", b"2"]);
}

/// Fills its session when it is asked, with one message at a time.
struct OnDemand {
    session: std::sync::Weak<Session>,
    generation: u32,
    left: Mutex<Vec<Incoming>>,
}

impl OnDemand {
    fn connect(session: &Arc<Session>, mut left: Vec<Incoming>) -> SessionConsumer {
        left.reverse();
        let (weak, generation) = (Arc::downgrade(session), session.assign(0));
        session.connect(Arc::new(OnDemand { session: weak, generation, left: Mutex::new(left) }))
    }
}

#[async_trait]
impl Link for OnDemand {
    fn refill(&self) -> usize {
        let Some(session) = self.session.upgrade() else { return 0 };
        assert!(session.is_awaited(), "else a record that comes now would be nobody's");
        let Some(next) = self.left.lock().unwrap().pop() else { return 0 };
        session.push_unannounced(0, self.generation, [next]);
        1
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_can_fills_the_session_when_it_is_asked() {
    let session = Session::new(subscription(), None, None);
    let mut consumer = OnDemand::connect(&session, vec![incoming(8, "a"), incoming(9, "a")]);
    let (first, second) = (consumer.receive(9).await.unwrap(), consumer.receive(9).await.unwrap());
    assert_eq!((payloads(&first), payloads(&second)), (vec![&b"8"[..]], vec![&b"9"[..]]));
    assert!(!session.is_awaited());
    let nothing = tokio::time::timeout(Duration::from_secs(1), consumer.receive(9)).await;
    assert!(nothing.is_err(), "there is no more");
    assert!(!session.is_awaited(), "who waited was cancelled");
    let mut receiving = Box::pin(consumer.receive(9));
    assert!(futures::poll!(&mut receiving).is_pending());
    assert!(session.is_awaited());
}

#[tokio::test(start_paused = true)]
async fn behind_what_may_not_be_handed_out_yet_the_adapter_is_asked_for_more() {
    let session = Session::new(subscription(), None, None);
    let left = vec![incoming(0, "a"), incoming(1, "a"), incoming(2, "b")];
    let mut consumer = OnDemand::connect(&session, left);
    let failed = consumer.receive(9).await.unwrap().pop().unwrap();
    failed.nack(Duration::from_secs(60)).await.unwrap();
    let started = Instant::now();
    assert_eq!(payloads(&consumer.receive(9).await.unwrap()), [b"2"]);
    assert!(started.elapsed() < Duration::from_secs(1), "the key of `1` waits, and that of `2` does not");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_can_be_waited_for() {
    let (session, consumer) = session(&["a"]);
    let end = session.end();
    assert!(tokio::time::timeout(Duration::from_secs(1), end).await.is_err());
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.end().await }
    });
    tokio::task::yield_now().await;
    drop(consumer);
    waiting.await.unwrap();
    session.end().await;
}
