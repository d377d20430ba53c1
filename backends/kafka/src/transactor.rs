//! The thread of a transactional publisher: it alone calls librdkafka's transactional producer, whose calls wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anybroker_core::kit::Inputs;
use anybroker_core::{Error, Fate, Key, Kind, Message, Result, Topic};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::oneshot;

use crate::enlist::Enlisted;
use crate::observer::Observer;
use crate::raw::{Events, remind};
use crate::{error, record};

/// How long one look at what the client's background has to say is put off.
const POLL: Duration = Duration::from_millis(50);
/// How long to wait for room in the client, or before a call that may be repeated is.
const MOMENT: Duration = Duration::from_millis(10);

/// What the thread is told.
pub(crate) enum Order {
    /// Begin a transaction; one that is open is aborted first.
    Begin(oneshot::Sender<Result<()>>),
    /// Publish to a topic that takes record batches of up to so many bytes.
    Publish(Topic, usize, Vec<Message>, oneshot::Sender<Result<()>>),
    /// Commit, with these inputs.
    Commit(Inputs, oneshot::Sender<Result<()>>),
    /// Abort.
    Abort(oneshot::Sender<Result<()>>),
    /// Abort, and end.
    Close(oneshot::Sender<Result<()>>),
}

/// How a transactional producer is opened.
pub(crate) struct Setup {
    pub(crate) native: ClientConfig,
    /// Where the cluster is.
    pub(crate) brokers: Vec<String>,
    pub(crate) request_timeout: Duration,
    /// How long a transaction may take.
    pub(crate) timeout: Duration,
}

/// What the thread owns.
pub(crate) struct Transactor {
    producer: Arc<BaseProducer<Tally>>,
    events: Events<Tally>,
    brokers: Vec<String>,
    /// One that it has published to.
    topic: Option<Topic>,
    request_timeout: Duration,
    timeout: Duration,
    /// The deadline of the transaction that is open.
    open: Option<Instant>,
    /// Why nothing can be done any more.
    ended: Option<Error>,
}

/// Remembers the first message of a transaction that was not stored.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) observer: Observer,
    failed: Mutex<Option<Error>>,
}

impl ClientContext for Tally {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.observer.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.observer.error(error, reason);
    }
}

impl ProducerContext for Tally {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            if matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) {
                // What an abort has thrown away: on a busy machine it may be told after the next one has begun.
                return;
            }
            self.failed().get_or_insert_with(|| error::of_code("publish", code));
        }
    }
}

impl Tally {
    fn failed(&self) -> MutexGuard<'_, Option<Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transactor {
    /// Takes the transactional id: what its holder before left open is aborted, or its commit finished. Blocks.
    ///
    /// # Errors
    /// `TimedOut`, `Disconnected`, `PermissionDenied`, `InvalidConfiguration`.
    pub(crate) fn open(setup: Setup) -> Result<Self> {
        let operation = "open a transactional publisher";
        let producer: BaseProducer<Tally> =
            setup.native.create_with_context(Tally::default()).map_err(|e| error::of(operation, e))?;
        let until = Instant::now() + setup.request_timeout * 2;
        repeat(until, &producer, |left| producer.init_transactions(left)).map_err(|e| of(operation, e))?;
        let producer = Arc::new(producer);
        let events = Events::of(producer.clone())
            .ok_or_else(|| Error::new(Kind::Unexpected, operation, "librdkafka gives no queue of events"))?;
        Ok(Transactor {
            producer,
            events,
            brokers: setup.brokers,
            topic: None,
            request_timeout: setup.request_timeout,
            timeout: setup.timeout,
            open: None,
            ended: None,
        })
    }

    /// What its background says.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        self.producer.context().clone()
    }

    /// Obeys until it is told to close, or nobody is left to tell it anything.
    pub(crate) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            // Who does not wait any longer for an answer finds the outcome with the next call.
            match orders.recv_timeout(POLL) {
                Ok(Order::Begin(answer)) => _ = answer.send(self.begin()),
                Ok(Order::Publish(topic, largest, batch, answer)) => {
                    _ = answer.send(self.publish(&topic, largest, &batch));
                }
                Ok(Order::Commit(inputs, answer)) => _ = answer.send(self.commit(inputs)),
                Ok(Order::Abort(answer)) => _ = answer.send(self.abort("abort")),
                Ok(Order::Close(answer)) => {
                    let aborted = self.abort("close");
                    drop(self);
                    _ = answer.send(aborted);
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    _ = self.abort("close");
                    return;
                }
            }
            self.events.serve();
        }
    }

    /// Helps it to find the cluster again, where it has lost all brokers (decision 41).
    fn remind(&self) {
        let observer = &self.producer.context().observer;
        if let Some(topic) = &self.topic {
            remind(self.producer.client(), observer, topic, &self.brokers);
        }
    }

    fn check(&self) -> Result<()> {
        self.ended.as_ref().map_or(Ok(()), |error| Err(error.duplicate()))
    }

    fn begin(&mut self) -> Result<()> {
        self.check()?;
        self.abort("begin")?;
        *self.producer.context().failed() = None;
        self.producer.begin_transaction().map_err(|e| self.failed("begin", e))?;
        self.open = Some(Instant::now() + self.timeout);
        Ok(())
    }

    fn publish(&mut self, topic: &Topic, largest: usize, batch: &[Message]) -> Result<()> {
        self.check()?;
        self.topic.get_or_insert_with(|| topic.clone());
        self.remind();
        for message in batch {
            message.validate()?;
            if let Some(error) = record::refusal(message, largest) {
                return Err(error);
            }
            self.send(topic, message)?;
        }
        match &*self.producer.context().failed() {
            Some(error) => Err(error.duplicate()),
            None => Ok(()),
        }
    }

    fn send(&mut self, topic: &Topic, message: &Message) -> Result<()> {
        let mut record =
            BaseRecord::to(topic.as_str()).payload(&message.payload[..]).headers(record::headers(message));
        record.key = message.key.as_ref().map(Key::as_bytes);
        loop {
            let error = match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, refused)) => {
                    record = refused;
                    error
                }
            };
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !full || self.left().is_zero() {
                return Err(self.fatal("publish").unwrap_or_else(|| error::of("publish", error)));
            }
            self.producer.poll(MOMENT);
        }
    }

    /// How long the transaction may still take.
    fn left(&self) -> Duration {
        self.open.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default()
    }

    /// All of it, or nothing, or nobody knows; the inputs go where that belongs.
    fn commit(&mut self, inputs: Inputs) -> Result<()> {
        let mut enlisted = Enlisted::default();
        let prepared = self.prepare(&inputs, &mut enlisted);
        match prepared.and_then(|()| self.finish()) {
            Ok(()) => {
                inputs.committed();
                enlisted.committed();
                Ok(())
            }
            Err(error) if error.fate() == Fate::NotApplied => {
                if let Err(error) = self.abort("commit") {
                    tracing::debug!(%error, "the broker has not heard of an abort; it comes with the next call");
                }
                drop(inputs);
                Err(error)
            }
            Err(error) => {
                enlisted.unknown();
                inputs.unknown(&doubt("receive"));
                self.open = None;
                self.ended.get_or_insert_with(|| doubt("begin"));
                Err(error)
            }
        }
    }

    /// Everything before the commit itself. What fails here has certainly not been committed.
    fn prepare(&mut self, inputs: &Inputs, enlisted: &mut Enlisted) -> Result<()> {
        let sure = |error: Error| error.with_fate(Fate::NotApplied);
        self.check().map_err(sure)?;
        let flushed = self.events.flush(self.left());
        if let Some(error) = self.fatal("commit") {
            return Err(sure(error));
        }
        if let Some(error) = &*self.producer.context().failed() {
            return Err(sure(error.duplicate()));
        }
        if !flushed {
            return Err(sure(self.late()));
        }
        for offsets in enlisted.take(inputs, self.request_timeout.min(self.left())).map_err(sure)? {
            let until = Instant::now() + self.left();
            let (producer, list, member) = (&self.producer, &offsets.list, &offsets.member);
            let sent =
                repeat(until, producer, |left| producer.send_offsets_to_transaction(list, member, left));
            sent.map_err(|e| sure(self.failed("commit", e)))?;
        }
        match self.left().is_zero() {
            true => Err(sure(self.late())),
            false => Ok(()),
        }
    }

    /// The commit itself. After it was asked for, only an abort that the broker takes tells that it did not happen.
    fn finish(&mut self) -> Result<()> {
        let until = Instant::now() + self.left() + self.request_timeout;
        let producer = &self.producer;
        let Err(error) = repeat(until, producer, |left| producer.commit_transaction(left)) else {
            self.open = None;
            return Ok(());
        };
        let abortable = match &error {
            KafkaError::Transaction(error) => error.txn_requires_abort(),
            KafkaError::Flush(_) => true,
            _ => false,
        };
        let error = self.failed("commit", error);
        let aborted = abortable && self.abort("commit").is_ok();
        Err(error.with_fate(if aborted { Fate::NotApplied } else { Fate::Unknown }))
    }

    fn abort(&mut self, operation: &'static str) -> Result<()> {
        if self.open.is_none() {
            return Ok(());
        }
        if let Some(error) = self.fatal(operation) {
            self.open = None;
            return Err(error);
        }
        self.remind();
        let (until, producer) = (Instant::now() + self.request_timeout, &self.producer);
        let abort = |left| while_reporting(&self.events, || producer.abort_transaction(left));
        repeat(until, producer, abort).map_err(|e| self.failed(operation, e))?;
        self.open = None;
        Ok(())
    }

    fn late(&self) -> Error {
        Error::new(Kind::TimedOut, "commit", format!("it was not committed within {:?}", self.timeout))
            .advice("check the broker; or make transactions smaller, or their time-out longer")
    }

    /// An error of the producer. What is fatal to it ends the publisher.
    fn failed(&mut self, operation: &'static str, error: KafkaError) -> Error {
        let fatal = self.fatal(operation);
        fatal.unwrap_or_else(|| of(operation, error))
    }

    fn fatal(&mut self, operation: &'static str) -> Option<Error> {
        let (code, reason) = self.producer.client().fatal_error()?;
        let error = error::fatal(operation, code, &reason);
        self.ended = Some(error.duplicate());
        Some(error)
    }
}

/// Calls what may be repeated, until the deadline.
fn repeat(
    until: Instant,
    producer: &BaseProducer<Tally>,
    call: impl Fn(Duration) -> KafkaResult<()>,
) -> KafkaResult<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match call(left) {
            Err(KafkaError::Transaction(error)) if again(&error) && !left.is_zero() => {
                producer.poll(MOMENT);
            }
            result => return result,
        }
    }
}

/// librdkafka throws away what is on its way, so that its sequence has no gap, and waits until each of these messages has been
/// reported: meanwhile, by us. To throw them away before its call leaves a gap, and all that follows is stuck.
fn while_reporting<T: Send>(events: &Events<Tally>, call: impl FnOnce() -> T + Send) -> T {
    let (reporting, ended) = (thread::current(), AtomicBool::new(false));
    thread::scope(|scope| {
        let call = scope.spawn(|| {
            let result = call();
            ended.store(true, Ordering::Release);
            reporting.unpark();
            result
        });
        while !ended.load(Ordering::Acquire) && !call.is_finished() {
            events.serve();
            events.wait(MOMENT);
        }
        call.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn again(error: &RDKafkaError) -> bool {
    error.is_retriable() && !error.is_fatal() && !error.txn_requires_abort()
}

fn of(operation: &'static str, error: KafkaError) -> Error {
    match error {
        KafkaError::Transaction(error) => error::transactional(operation, &error),
        error => error::of(operation, error),
    }
}

/// Nobody here knows what became of the last commit.
fn doubt(operation: &'static str) -> Error {
    Error::new(Kind::Disconnected, operation, "the broker did not say whether it committed a transaction")
        .advice("open the publisher under the same id again, and then the consumers: they go on where the broker says")
        .with_retryable(false)
}
