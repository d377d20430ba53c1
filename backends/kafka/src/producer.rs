//! One of librdkafka's idempotent producers, and the thread that serves its delivery reports.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use anybroker_core::kit::Pending;
use anybroker_core::{Error, Key, Kind, Result, Topic};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};

use crate::raw::Events;
use crate::reports::{Reports, refusal};
use crate::{error, record};

/// How long the thread rests if nothing wakes it.
const REST: Duration = Duration::from_secs(1);

/// Why a session is not served any more.
enum Ended {
    Stopped,
    Fatal,
}

/// A producer session, and a new one whenever it has ended.
pub(crate) struct Producer {
    native: ClientConfig,
    session: RwLock<Arc<BaseProducer<Reports>>>,
    failed: OnceLock<Error>,
    stop: AtomicBool,
    /// What is on its way has been waited for already.
    give_up: AtomicBool,
    close_timeout: Duration,
}

impl Producer {
    /// Opens a session; [`run`](Self::run) serves it.
    ///
    /// # Errors
    /// `InvalidConfiguration` if librdkafka does not take a setting.
    pub(crate) fn open(native: ClientConfig, close_timeout: Duration) -> Result<Self> {
        let session = create(&native)?;
        Ok(Producer {
            native,
            session: RwLock::new(Arc::new(session)),
            failed: OnceLock::new(),
            stop: AtomicBool::new(false),
            give_up: AtomicBool::new(false),
            close_timeout,
        })
    }

    /// The session there is now.
    pub(crate) fn session(&self) -> Arc<BaseProducer<Reports>> {
        self.session.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why there is no session any more.
    pub(crate) fn failed(&self) -> Option<Error> {
        self.failed.get().map(Error::duplicate)
    }

    /// Whether a connection was lost since the last call.
    pub(crate) fn take_disturbed(&self) -> bool {
        self.session().context().observer.take_disturbed()
    }

    /// Ends the thread, which flushes what is on its way before, within the deadline of closing; not if that has been
    /// waited for already.
    pub(crate) fn stop(&self, waited: bool) {
        self.give_up.store(waited, Ordering::Release);
        self.stop.store(true, Ordering::Release);
    }

    /// Serves delivery reports until it is stopped; who stops it unparks the thread.
    pub(crate) fn run(&self) {
        while !self.stop.load(Ordering::Acquire) {
            let Some(events) = self.events() else { return };
            match self.serve(&events) {
                Ended::Stopped => {
                    let waited = self.give_up.load(Ordering::Acquire);
                    drain(&self.session(), &events, if waited { Duration::ZERO } else { self.close_timeout });
                }
                Ended::Fatal => {
                    drain(&self.session(), &events, Duration::ZERO);
                    drop(events);
                    self.renew();
                }
            }
        }
    }

    fn events(&self) -> Option<Events<Reports>> {
        let events = Events::of(self.session());
        if events.is_none() {
            let text = "librdkafka gives no queue of events";
            let _ = self.failed.set(Error::new(Kind::Unexpected, "publish", text));
        }
        events
    }

    fn serve(&self, events: &Events<Reports>) -> Ended {
        loop {
            events.serve();
            if let Some((code, reason)) = self.session().client().fatal_error() {
                tracing::warn!(%code, reason, "the idempotent producer session ended; opening a new one");
                return Ended::Fatal;
            }
            if self.stop.load(Ordering::Acquire) {
                return Ended::Stopped;
            }
            events.wait(REST);
        }
    }

    /// What the old session had taken has failed as unknown by now, and its keys are held: nothing overtakes it.
    fn renew(&self) {
        match create(&self.native) {
            Ok(session) => {
                *self.session.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(session);
            }
            Err(error) => {
                let _ = self.failed.set(error);
                self.stop.store(true, Ordering::Release);
            }
        }
    }
}

fn create(native: &ClientConfig) -> Result<BaseProducer<Reports>> {
    native.create_with_context(Reports::default()).map_err(|e| error::of("open", e))
}

/// Hands a message to librdkafka, which reports on it.
pub(crate) fn send(session: &BaseProducer<Reports>, topic: &Topic, pending: Pending) {
    let Some(message) = pending.message() else { return };
    let (payload, key) = (message.payload.clone(), message.key.clone());
    let headers = record::headers(message);
    let reports = session.context();
    let place = reports.keep(pending);
    let mut record = BaseRecord::with_opaque_to(topic.as_str(), place).payload(&payload[..]).headers(headers);
    record.key = key.as_ref().map(Key::as_bytes);
    if let Err((error, _)) = session.send(record)
        && let Some(pending) = reports.take(place)
    {
        pending.fail(refusal(error));
    }
}

/// Waits for what is in flight, then gives up on it.
fn drain(session: &BaseProducer<Reports>, events: &Events<Reports>, wait: Duration) {
    if !events.flush(wait) {
        session.purge(PurgeConfig::default().queue().inflight());
        // The purge's reports are local, so this ends at once.
        let _ = events.flush(Duration::from_secs(1));
    }
}
