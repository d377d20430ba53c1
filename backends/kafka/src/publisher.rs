//! Publishing: an idempotent producer, a slab of messages in flight, and one thread that polls.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use anybroker_core::kit::{Confirmations, Intake, Pending, Permit};
use anybroker_core::{Error, Fate, Key, Message, Publisher, PublisherOptions, Requirements, Result, Topic};
use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::blocking::{self, Owned};
use crate::config::KafkaConfig;
use crate::flush::flush;
use crate::reports::{Reports, refusal};
use crate::supervise::Supervised;
use crate::{error, record};

/// How long one poll lasts; so long may stopping take.
const POLL: Duration = Duration::from_millis(50);

/// The publisher of one topic.
pub(crate) struct KafkaPublisher {
    shared: Arc<Shared>,
    thread: Mutex<Option<Owned>>,
}

struct Shared {
    intake: Intake,
    requirements: Requirements,
    native: ClientConfig,
    producer: RwLock<Arc<BaseProducer<Reports>>>,
    failed: OnceLock<Error>,
    stop: AtomicBool,
    /// What is on its way has been waited for already.
    give_up: AtomicBool,
    max_message_bytes: usize,
    message_timeout: Duration,
    close_timeout: Duration,
}

impl KafkaPublisher {
    /// Opens a publisher to a topic that takes record batches of up to `max_message_bytes`.
    ///
    /// # Errors
    /// `InvalidConfiguration` if librdkafka does not take a setting.
    pub(crate) fn open(
        config: &KafkaConfig,
        options: &PublisherOptions,
        max_message_bytes: usize,
    ) -> Result<Arc<Self>> {
        let native = settings(config, options, max_message_bytes);
        let producer = create(&native)?;
        let shared = Arc::new(Shared {
            intake: Intake::new(options, record::largest(max_message_bytes)),
            requirements: options.requirements.clone(),
            native,
            producer: RwLock::new(Arc::new(producer)),
            failed: OnceLock::new(),
            stop: AtomicBool::new(false),
            give_up: AtomicBool::new(false),
            max_message_bytes,
            message_timeout: config.message_timeout,
            close_timeout: config.close_timeout,
        });
        let polled = shared.clone();
        let thread = blocking::spawn("kafka-publisher", move || polled.poll())?;
        Ok(Arc::new(KafkaPublisher { shared, thread: Mutex::new(Some(thread)) }))
    }
}

fn settings(config: &KafkaConfig, options: &PublisherOptions, max_message_bytes: usize) -> ClientConfig {
    let mut native = config.base();
    // Our window is the bound; the client's own must never be met before it.
    let messages = options.window_messages.saturating_mul(2).clamp(1_000, i32::MAX as usize);
    let kbytes = (options.window_bytes / 1024).saturating_mul(4).clamp(64 * 1024, i32::MAX as usize / 1024);
    native
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight", "5")
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", config.message_timeout.as_millis().to_string())
        .set("linger.ms", config.linger.as_millis().to_string())
        .set("queue.buffering.max.messages", messages.to_string())
        .set("queue.buffering.max.kbytes", kbytes.to_string())
        .set("message.max.bytes", max_message_bytes.clamp(1_000, 1_000_000_000).to_string());
    native
}

fn create(native: &ClientConfig) -> Result<BaseProducer<Reports>> {
    native.create_with_context(Reports::default()).map_err(|e| error::of("open", e))
}

impl Shared {
    fn producer(&self) -> Arc<BaseProducer<Reports>> {
        self.producer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn send(&self, producer: &BaseProducer<Reports>, pending: Pending) {
        if let Some(error) = self.refuse(&pending) {
            return pending.fail(error.with_fate(Fate::NotApplied));
        }
        let Some(message) = pending.message() else { return };
        let (payload, key) = (message.payload.clone(), message.key.clone());
        let headers = record::headers(message);
        let reports = producer.context();
        let place = reports.keep(pending);
        let mut record = BaseRecord::with_opaque_to(self.intake.topic().as_str(), place)
            .payload(&payload[..])
            .headers(headers);
        record.key = key.as_ref().map(Key::as_bytes);
        if let Err((error, _)) = producer.send(record)
            && let Some(pending) = reports.take(place)
        {
            pending.fail(refusal(error));
        }
    }

    fn refuse(&self, pending: &Pending) -> Option<Error> {
        if let Some(error) = self.failed.get() {
            return Some(error.duplicate());
        }
        if let Some(error) = pending.refusal() {
            return Some(error);
        }
        let message = pending.message()?;
        record::refusal(message, self.max_message_bytes)
    }

    /// Serves delivery reports until the publisher is closed or dropped.
    fn poll(&self) {
        while !self.stop.load(Ordering::Acquire) {
            let producer = self.producer();
            producer.poll(POLL);
            if let Some((code, reason)) = producer.client().fatal_error() {
                tracing::warn!(%code, reason, "the idempotent producer session ended; opening a new one");
                drain(&producer, Duration::ZERO);
                drop(producer);
                self.renew();
            }
        }
        let waited = self.give_up.load(Ordering::Acquire);
        drain(&self.producer(), if waited { Duration::ZERO } else { self.close_timeout });
    }

    /// What the old session had taken has failed as unknown by now, and its keys are held: nothing overtakes it.
    fn renew(&self) {
        match create(&self.native) {
            Ok(producer) => {
                *self.producer.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(producer);
            }
            Err(error) => {
                let _ = self.failed.set(error);
                self.stop.store(true, Ordering::Release);
            }
        }
    }
}

/// Waits for what is in flight, then gives up on it.
pub(crate) fn drain<C: ProducerContext>(producer: &BaseProducer<C>, wait: Duration) {
    if !flush(producer, wait) {
        producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
        // The purge's reports are local, so this ends at once.
        let _ = flush(producer, Duration::from_secs(1));
    }
}

#[async_trait]
impl Publisher for KafkaPublisher {
    async fn ready(&self, messages: usize, bytes: usize) -> Result<Permit> {
        if let Some(error) = self.shared.failed.get() {
            return Err(error.duplicate());
        }
        self.shared.intake.ready(messages, bytes).await
    }

    fn enqueue(&self, permit: Permit, batch: Vec<Message>) -> Confirmations {
        let (pending, confirmations) = self.shared.intake.accept(permit, batch);
        let producer = self.shared.producer();
        pending.into_iter().for_each(|pending| self.shared.send(&producer, pending));
        confirmations
    }

    async fn flush(&self) -> Result<()> {
        self.shared.intake.idle(self.shared.message_timeout + self.shared.close_timeout).await
    }

    fn resume(&self, key: &Key) {
        self.shared.intake.resume(key);
    }

    fn topic(&self) -> &Topic {
        self.shared.intake.topic()
    }

    async fn close(&self) -> Result<()> {
        self.shared.intake.close();
        let flushed = self.shared.intake.idle(self.shared.close_timeout).await;
        self.shared.give_up.store(flushed.is_err(), Ordering::Release);
        self.shared.stop.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            thread.join(self.shared.close_timeout, "publish: close").await?;
        }
        flushed
    }
}

impl Supervised for KafkaPublisher {
    fn take_disturbed(&self) -> bool {
        self.shared.producer().context().observer.take_disturbed()
    }

    fn topic(&self) -> &Topic {
        self.shared.intake.topic()
    }

    fn requirements(&self) -> &Requirements {
        &self.shared.requirements
    }

    fn fail(&self, error: Error) {
        let _ = self.shared.failed.set(error);
    }
}

impl Drop for KafkaPublisher {
    fn drop(&mut self) {
        // The thread flushes what is on its way, within the deadline of closing, and ends by itself.
        self.shared.intake.close();
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPublisher").field("topic", self.shared.intake.topic()).finish_non_exhaustive()
    }
}
