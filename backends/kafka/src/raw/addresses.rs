//! Telling a client of the cluster's addresses once more (decision 41).

use std::ffi::CString;

use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::Client;

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
