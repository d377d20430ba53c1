//! Waiting for a producer's events. The crate's `poll` spins through the last millisecond of its time (decision 40).

use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::bindings::{
    rd_kafka_queue_cb_event_enable, rd_kafka_queue_destroy, rd_kafka_queue_get_main, rd_kafka_queue_length,
    rd_kafka_queue_t, rd_kafka_t,
};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

/// The queue in which librdkafka puts a producer's delivery reports, errors and logs. For one thread, which serves it.
pub(crate) struct Events<C: ProducerContext + 'static> {
    /// Ours to free, once.
    queue: NonNull<rd_kafka_queue_t>,
    /// Who waits. librdkafka has a pointer to it.
    waiting: Arc<OnceLock<Thread>>,
    /// Keeps the client alive for longer than the queue, which is its.
    producer: Arc<BaseProducer<C>>,
}

// SAFETY: librdkafka's queues may be used, and freed, by any thread; what else there is may be sent by itself.
unsafe impl<C: ProducerContext + 'static> Send for Events<C> {}

/// Called by librdkafka's threads when an event arrives in the empty queue, while they hold its lock.
unsafe extern "C" fn arrived(_: *mut rd_kafka_t, waiting: *mut c_void) {
    // SAFETY: it is what the `Arc` has, which nobody has a unique reference to; `drop` takes the callback back first.
    let waiting = unsafe { &*waiting.cast::<OnceLock<Thread>>() };
    waiting.get().into_iter().for_each(Thread::unpark);
}

impl<C: ProducerContext + 'static> Events<C> {
    /// The events of a producer. None if librdkafka has no queue for them.
    pub(crate) fn of(producer: Arc<BaseProducer<C>>) -> Option<Self> {
        let waiting = Arc::new(OnceLock::new());
        // SAFETY: the client is alive, and the queue a reference of our own.
        let queue = NonNull::new(unsafe { rd_kafka_queue_get_main(producer.client().native_ptr()) })?;
        let opaque = Arc::as_ptr(&waiting).cast_mut().cast::<c_void>();
        // SAFETY: the callback only reads what it is given, which lives until `drop` takes the callback back.
        unsafe { rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(arrived), opaque) };
        Some(Events { queue, waiting, producer })
    }

    fn are_there(&self) -> bool {
        // SAFETY: the queue is alive.
        unsafe { rd_kafka_queue_length(self.queue.as_ptr()) > 0 }
    }

    /// Serves what there is.
    pub(crate) fn serve(&self) {
        while self.are_there() {
            self.producer.poll(Duration::ZERO);
        }
    }

    /// Waits for the next event, for `longest` at most, or until this thread is unparked.
    pub(crate) fn wait(&self, longest: Duration) {
        self.waiting.get_or_init(thread::current);
        // One that arrives from here on unparks this thread.
        if !self.are_there() {
            thread::park_timeout(longest);
        }
    }

    /// Waits until everything has a report, or for `limit`; says which it was.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        // Sends what lingers. Once: it wakes every thread of the client.
        let mut ended = self.producer.flush(Duration::ZERO).is_ok();
        while !ended {
            self.serve();
            ended = self.producer.in_flight_count() == 0;
            let left = until.saturating_duration_since(Instant::now());
            if ended || left.is_zero() {
                break;
            }
            self.wait(left);
        }
        ended
    }
}

impl<C: ProducerContext + 'static> Drop for Events<C> {
    fn drop(&mut self) {
        // SAFETY: the queue is ours and the client still alive. Callbacks are called under the queue's lock, which this takes:
        // after it none is on its way, and none follows.
        unsafe {
            rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, null_mut());
            rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

#[cfg(test)]
mod tests;
