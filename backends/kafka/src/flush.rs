//! Waiting for what a producer has in hand.

use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

/// How long one look at the reports takes. The client library's own `flush` looks for 100 ms at a time, as its `poll` does not end
/// before its time whatever comes: each transaction took so long.
pub(crate) const LOOK: Duration = Duration::from_millis(1);

/// Waits until everything has a report, or for `limit`; says which it was.
pub(crate) fn flush<C: ProducerContext>(producer: &BaseProducer<C>, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    // Sends what lingers. Once: it wakes every thread of the client.
    let mut ended = producer.flush(Duration::ZERO).is_ok();
    while !ended && Instant::now() < until {
        producer.poll(LOOK);
        ended = producer.in_flight_count() == 0;
    }
    ended
}
