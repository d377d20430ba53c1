//! Telling a client of the cluster's addresses once more (decision 41).

use std::ffi::CString;
use std::time::Duration;

use anybroker_core::Topic;
use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::Client;

use crate::observer::Observer;

/// A client that has a broker has answered by then. One that connects anew is told for nothing, which it forgets again.
const MOMENT: Duration = Duration::from_millis(500);

/// Tells a client whose brokers were all gone where the cluster is, if it does not find out about its topic. Waits for half a second
/// at most; to be called when the cluster answers others.
pub(crate) fn remind<C: ClientContext>(
    client: &Client<C>,
    observer: &Observer,
    topic: &Topic,
    brokers: &[String],
) {
    if observer.take_deserted() && client.fetch_metadata(Some(topic.as_str()), MOMENT).is_err() {
        tracing::info!(%topic, "a client of librdkafka has no broker any more; it is told where the cluster is");
        tell_addresses(client, brokers);
    }
}

/// Tells a client that has no broker left where the cluster is; it then connects to it when it needs one.
pub(crate) fn tell_addresses<C: ClientContext>(client: &Client<C>, brokers: &[String]) {
    let Ok(brokers) = CString::new(brokers.join(",")) else { return };
    // SAFETY: the client is alive, and the list, which is copied, ends with a zero.
    unsafe { rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr()) };
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
