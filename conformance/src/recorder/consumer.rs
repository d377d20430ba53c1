//! The recorded consumer, and the settler that its deliveries carry.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anybroker_core::dead_letter::DeadLetter;
use anybroker_core::{
    Broker, Consumer, Delivery, Fate, Group, Held, Kind, Result, SettleError, Settled, Settlement, Settler,
    Standing, Start, Subscription, Token, Topic, Verdict, async_trait,
};

use super::copies::Came;
use super::{Recorder, fingerprint};
use crate::history;
use crate::history::{Assign, Close, CloseCause, Deliver, Event, Open, Outcome, Settle, SettleVerdict};

/// When a message counts as delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// When it is received.
    Received,
    /// When somebody begins with it, as an observer of a worker is told; or when it is settled without.
    Begun,
}

#[derive(Debug)]
pub(super) struct RecordedConsumer {
    consumer: Option<Box<dyn Consumer>>,
    settler: Arc<RecordedSettler>,
}

pub(super) struct RecordedSettler {
    me: Weak<RecordedSettler>,
    settler: Mutex<Option<Arc<dyn Settler>>>,
    recorder: Arc<Recorder>,
    session: String,
    subscription: Subscription,
    counted: Counted,
    written: Mutex<Written>,
    closed: AtomicBool,
}

/// What has been written of a session.
#[derive(Default)]
struct Written {
    /// The generation of each partition, by which a new assignment shows.
    generations: HashMap<u32, u32>,
    /// Delivered and not settled yet; only where not everything that is received counts.
    begun: HashSet<Token>,
    /// Refused with an outcome, and still to be settled: a history has one outcome of each.
    refused: HashSet<Token>,
}

impl RecordedConsumer {
    pub(super) async fn open(
        broker: &Broker,
        subscription: Subscription,
        recorder: Arc<Recorder>,
        counted: Counted,
    ) -> Result<Self> {
        let session = recorder.name("session-");
        // A new group starts with the earliest message kept for it.
        let start = match subscription.start {
            Start::Resume if recorder.is_new(&subscription.topic, &subscription.group) => {
                history::Start::Earliest
            }
            Start::Resume => history::Start::Resume,
            Start::Earliest => history::Start::Earliest,
            Start::Latest => history::Start::Latest,
        };
        recorder.record(&Event::Open(Open {
            session: session.as_str().into(),
            consumer: session.as_str().into(),
            group: subscription.group.as_str().into(),
            topic: subscription.topic.as_str().into(),
            start,
        }));
        let settler = Arc::new_cyclic(|me| RecordedSettler {
            me: me.clone(),
            settler: Mutex::new(None),
            recorder,
            session,
            subscription: subscription.clone(),
            counted,
            written: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        match broker.consumer(subscription).await {
            Ok(consumer) => {
                settler.recorder.group_exists(&settler.subscription.topic, &settler.subscription.group);
                *settler.inner() = Some(consumer.settler());
                Ok(RecordedConsumer { consumer: Some(consumer), settler })
            }
            Err(error) => {
                settler.close(CloseCause::Closed);
                Err(error)
            }
        }
    }

    fn deliver(&self, mut delivery: Delivery) -> Delivery {
        if self.settler.counted == Counted::Received {
            self.settler.delivered(&delivery);
        }
        // The inner settler is put back in when it is settled.
        delivery.take_settler();
        delivery.with_settler(self.settler.clone())
    }
}

/// The id of the message. A dead letter may have one that is made of it, where the broker knew the id already.
fn message_id(delivery: &Delivery, letter: Option<&DeadLetter>) -> String {
    let own = delivery.id().map(|id| id.to_string()).unwrap_or_default();
    let message = letter.and_then(|letter| letter.message_id.as_ref()).map(|id| id.to_string());
    let made_of = |id: &String| own.strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with('~'));
    message.filter(made_of).unwrap_or(own)
}

pub(super) fn position(position: anybroker_core::Position) -> history::Position {
    history::Position { partition: position.partition, offset: position.offset }
}

#[async_trait]
impl Consumer for RecordedConsumer {
    async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let Some(consumer) = &mut self.consumer else { return Ok(Vec::new()) };
        let batch = consumer.receive(max).await?;
        Ok(batch.into_iter().map(|delivery| self.deliver(delivery)).collect())
    }

    fn settler(&self) -> Arc<dyn Settler> {
        self.settler.clone()
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        // Written first: what comes to others from now on has this as its cause.
        self.settler.close(CloseCause::Closed);
        match self.consumer.take() {
            Some(consumer) => consumer.close().await,
            None => Ok(()),
        }
    }
}

impl Drop for RecordedConsumer {
    fn drop(&mut self) {
        self.settler.close(CloseCause::Killed);
    }
}

impl RecordedSettler {
    fn inner(&self) -> MutexGuard<'_, Option<Arc<dyn Settler>>> {
        self.settler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token is unique within its session, and so names the delivery.
    fn name(&self, token: Token) -> String {
        format!(
            "{}:{}.{}.{}.{}",
            self.session, token.partition, token.generation, token.sequence, token.handout
        )
    }

    fn close(&self, cause: CloseCause) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.recorder.record(&Event::Close(Close { session: self.session.as_str().into(), cause }));
        }
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody begins with a delivery, for the first time or again.
    pub(super) fn begins(&self, delivery: &Delivery) {
        if self.counted == Counted::Begun && self.written().begun.insert(delivery.token()) {
            self.delivered(delivery);
        }
    }

    fn delivered(&self, delivery: &Delivery) {
        let token = delivery.token();
        let before = self.written().generations.insert(token.partition, token.generation);
        if before != Some(token.generation) {
            self.assigned(token.partition);
        }
        let letter = DeadLetter::read(delivery);
        let id = message_id(delivery, letter.as_ref());
        let dead_letter = letter.is_some();
        let position = delivery.position().map(position);
        let came = Came {
            topic: self.subscription.topic.as_str(),
            group: self.subscription.group.as_str(),
            position,
            marked: delivery.redelivered() || delivery.attempt() > 1,
            dead_letter,
        };
        self.recorder.record(&Event::Deliver(Deliver {
            d: self.name(token).into(),
            meta: Some(fingerprint::delivered(delivery, &id).into()),
            m: self.recorder.copies.delivered(id, came).into(),
            session: self.session.as_str().into(),
            key: delivery.key().map(|key| fingerprint::text(key).into()),
            hash: fingerprint::payload(delivery.payload()).into(),
            position,
            redelivered: Some(delivery.redelivered()),
            attempt: Some(delivery.attempt() as u64),
            dead_letter: dead_letter.then_some(true),
        }));
    }

    fn assigned(&self, partition: u32) {
        let session = self.session.as_str().into();
        self.recorder.record(&Event::Assign(Assign { session, partitions: vec![partition] }));
    }

    /// A delivery that came back and is still ours is settled through the recorder again.
    fn rewrap(&self, refused: SettleError) -> SettleError {
        let (error, mut delivery) = refused.into_parts();
        let delivery = match (delivery.take_settler(), self.me.upgrade()) {
            (Some(_), Some(me)) => delivery.with_settler(me),
            _ => delivery,
        };
        SettleError::new(error, delivery)
    }

    /// A delivery is settled in a transaction: writes its line, and gives what the broker delivered.
    pub(super) fn enlist(&self, mut delivery: Delivery, transaction: &str) -> Delivery {
        self.begins(&delivery);
        let token = delivery.token();
        self.forget(token);
        self.recorder.record(&Event::Settle(Settle {
            d: self.name(token).into(),
            verdict: SettleVerdict::Ack,
            delay_ms: None,
            transaction: Some(transaction.to_owned().into()),
        }));
        delivery.take_settler();
        match self.inner().clone() {
            Some(inner) => delivery.with_settler(inner),
            None => delivery,
        }
    }

    fn settle_line(&self, token: Token, verdict: &Verdict) -> Event<'static> {
        let delay = |delay: &Duration| Some(delay.as_millis() as u64).filter(|ms| *ms > 0);
        let (verdict, delay_ms) = match verdict {
            Verdict::Ack => (SettleVerdict::Ack, None),
            Verdict::Nack { delay: d } => (SettleVerdict::Nack, delay(d)),
            Verdict::DeadLetter { .. } => (SettleVerdict::DeadLetter, None),
            Verdict::Release => (SettleVerdict::Release, None),
        };
        let d = self.name(token).into();
        Event::Settle(Settle { d, verdict, delay_ms, transaction: None })
    }

    /// The line of an outcome, if it is to be written.
    fn settled_line(
        &self,
        token: Token,
        verdict: &Verdict,
        result: &Result<Settled, SettleError>,
    ) -> Option<Event<'static>> {
        let outcome = match (result, verdict) {
            // Merely recorded is not written: the broker has not confirmed it.
            (Ok(Settled::Recorded), Verdict::Ack) => return None,
            // What is put back goes back in the session itself, which is certain; a dead letter has been confirmed.
            (Ok(_), _) => Outcome::Ok,
            (Err(error), _) if error.error().fate() == Fate::Unknown => Outcome::Unknown,
            (Err(error), _) => match (error.error().kind(), verdict) {
                // The envelope is published before the original is settled, and may be there.
                (Kind::Superseded | Kind::Fenced | Kind::LeaseExpired, Verdict::DeadLetter { .. }) => {
                    Outcome::Unknown
                }
                (Kind::Superseded | Kind::Fenced | Kind::LeaseExpired | Kind::Closed, _) => Outcome::Failed,
                (Kind::InvalidConfiguration, _) => Outcome::Failed,
                _ => Outcome::Unknown,
            },
        };
        let d = self.name(token).into();
        Some(Event::Settled(history::Settled { d, outcome }))
    }

    /// Says whether somebody had begun with it.
    fn forget(&self, token: Token) -> bool {
        let mut written = self.written();
        written.refused.remove(&token);
        written.begun.remove(&token)
    }

    /// Forgets what has come to its end; what was refused and is still ours is settled once more. Says whether an outcome
    /// was written before.
    fn ended(&self, token: Token, result: &Result<Settled, SettleError>) -> bool {
        let ours = matches!(result, Err(refused) if refused.delivery().settler().is_some());
        let mut written = self.written();
        if ours {
            return !written.refused.insert(token);
        }
        written.begun.remove(&token);
        written.refused.remove(&token)
    }
}

#[async_trait]
impl Settler for RecordedSettler {
    async fn settle(&self, batch: Vec<Settlement>) -> Vec<Result<Settled, SettleError>> {
        let Some(inner) = self.inner().clone() else { return Vec::new() };
        let mut settled = Vec::with_capacity(batch.len());
        let mut unwrapped = Vec::with_capacity(batch.len());
        for Settlement { mut delivery, verdict } in batch {
            // What is settled without anybody having begun with it was dealt with all the same.
            self.begins(&delivery);
            settled.push((delivery.token(), verdict.clone()));
            delivery.take_settler();
            unwrapped.push(Settlement { delivery: delivery.with_settler(inner.clone()), verdict });
        }
        self.recorder.batch(|write| {
            settled.iter().for_each(|(token, verdict)| write(&self.settle_line(*token, verdict)));
        });
        let results = inner.settle(unwrapped).await;
        self.recorder.batch(|write| {
            for ((token, verdict), result) in settled.iter().zip(&results) {
                if !self.ended(*token, result) {
                    self.settled_line(*token, verdict, result).iter().for_each(&mut *write);
                }
            }
        });
        results.into_iter().map(|result| result.map_err(|refused| self.rewrap(refused))).collect()
    }

    async fn flush(&self) -> Result<Held> {
        let inner = self.inner().clone();
        match inner {
            Some(inner) => inner.flush().await,
            None => Ok(Held::default()),
        }
    }

    fn release(&self, token: Token) {
        // What its session's end hands back is no release.
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        // Nobody has seen what was never begun with.
        if self.forget(token) || self.counted == Counted::Received {
            self.recorder.record(&self.settle_line(token, &Verdict::Release));
        }
        if let Some(inner) = self.inner().as_ref() {
            inner.release(token);
        }
    }

    fn is_current(&self, token: Token) -> bool {
        self.inner().as_ref().is_none_or(|inner| inner.is_current(token))
    }

    fn standing(&self, tokens: &[Token]) -> Vec<Standing> {
        let ended = || vec![Standing::Void; tokens.len()];
        self.inner().as_ref().map_or_else(ended, |inner| inner.standing(tokens))
    }

    fn context(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(self)
    }

    fn topic(&self) -> &Topic {
        &self.subscription.topic
    }

    fn group(&self) -> &Group {
        &self.subscription.group
    }
}

impl std::fmt::Debug for RecordedSettler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordedSettler").field("session", &self.session).finish_non_exhaustive()
    }
}
