//! Waiting for what a producer has in hand.

use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

/// How long one look at the reports takes. The client library's own `flush` looks for 100 ms at a time, as its `poll` does not end
/// before its time whatever comes: each transaction took so long.
const LOOK: Duration = Duration::from_millis(1);

/// Waits until everything has a report, or for `limit`; says which it was.
pub(crate) fn flush<C: ProducerContext>(producer: &BaseProducer<C>, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while producer.flush(Duration::ZERO).is_err() {
        if Instant::now() >= until {
            return false;
        }
        producer.poll(LOOK);
    }
    true
}
