//! The producers of a connection: a few, which its publishers share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anybroker_core::Result;
use rdkafka::ClientConfig;

use crate::blocking::{self, Owned};
use crate::config::KafkaConfig;
use crate::producer::Producer;

/// So many publishers have a producer for themselves. Each has threads and connections of its own: with a hundred of
/// them a message costs ten times as much.
const MOST: usize = 4;

/// The producers that are open. Only topics that take batches of the same size share one: librdkafka knows one such limit.
pub(crate) struct Producers {
    config: KafkaConfig,
    open: Mutex<Vec<Shared>>,
}

struct Shared {
    producer: Arc<Producer>,
    thread: Owned,
    max_message_bytes: usize,
    publishers: usize,
}

impl Producers {
    /// None is open yet.
    pub(crate) fn new(config: KafkaConfig) -> Self {
        Producers { config, open: Mutex::default() }
    }

    /// A producer for topics that take record batches of up to `max_message_bytes`: a new one, or else the one that the
    /// fewest publishers have.
    ///
    /// # Errors
    /// `InvalidConfiguration` if librdkafka does not take a setting.
    pub(crate) fn take(&self, max_message_bytes: usize) -> Result<Arc<Producer>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |it: &Shared| it.max_message_bytes == max_message_bytes && it.producer.failed().is_none();
        let enough = open.iter().filter(|it| fits(it)).count() >= MOST;
        let least = open.iter_mut().filter(|it| fits(it)).min_by_key(|it| it.publishers);
        if let Some(shared) = least.filter(|_| enough) {
            shared.publishers += 1;
            return Ok(shared.producer.clone());
        }
        let native = settings(&self.config, max_message_bytes);
        let producer = Arc::new(Producer::open(native, self.config.close_timeout)?);
        let runs = producer.clone();
        let thread = blocking::spawn("kafka-publisher", move || runs.run())?;
        open.push(Shared { producer: producer.clone(), thread, max_message_bytes, publishers: 1 });
        Ok(producer)
    }

    /// Where the cluster is.
    pub(crate) fn brokers(&self) -> &[String] {
        &self.config.brokers
    }

    /// How long closing may take.
    pub(crate) fn close_timeout(&self) -> Duration {
        self.config.close_timeout
    }

    /// By when everything that is on its way has been reported on.
    pub(crate) fn patience(&self) -> Duration {
        self.config.message_timeout + self.config.close_timeout
    }

    /// A publisher has ended. The last one of a producer stops it, and can wait for its thread; `waited` says that what
    /// it had on its way has been waited for already.
    pub(crate) fn give_back(&self, producer: &Arc<Producer>, waited: bool) -> Option<Owned> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let index = open.iter().position(|it| Arc::ptr_eq(&it.producer, producer))?;
        open[index].publishers -= 1;
        if open[index].publishers > 0 {
            return None;
        }
        let last = open.swap_remove(index);
        last.producer.stop(waited);
        last.thread.unpark();
        Some(last.thread)
    }
}

fn settings(config: &KafkaConfig, max_message_bytes: usize) -> ClientConfig {
    let mut native = config.base();
    native
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight", "5")
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", config.message_timeout.as_millis().to_string())
        .set("linger.ms", config.linger.as_millis().to_string())
        // The publishers' windows are the bound; the client's own must never be met before them.
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", i32::MAX.to_string())
        .set("message.max.bytes", max_message_bytes.clamp(1_000, 1_000_000_000).to_string());
    native
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_publishers_share_a_few_producers_and_the_last_of_one_ends_it() {
        // Nobody answers there, and nobody is asked.
        let producers = Producers::new(KafkaConfig::new(["127.0.0.1:1"]));
        let taken: Vec<_> = (0..MOST * 3).map(|_| producers.take(1_000_000).unwrap()).collect();
        let other = producers.take(2_000_000).unwrap();
        let is = |one: &Arc<Producer>| taken.iter().filter(|it| Arc::ptr_eq(it, one)).count();
        assert!(taken.iter().all(|one| is(one) == 3), "they are shared out evenly");
        assert_eq!(is(&other), 0, "another limit, another producer");

        let ended = taken.iter().filter_map(|one| producers.give_back(one, true)).count();
        assert_eq!(ended, MOST);
        assert!(producers.give_back(&taken[0], true).is_none(), "it has ended");
        let again = producers.take(1_000_000).unwrap();
        assert_eq!(is(&again), 0);
        for last in [&other, &again] {
            assert!(producers.give_back(last, true).is_some());
        }
    }
}
