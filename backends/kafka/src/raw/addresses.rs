//! Telling a client of the cluster's addresses once more (decision 41).

use std::ffi::CString;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

/// How long a client may take to find a broker where there is one.
const ASK: Duration = Duration::from_millis(500);

/// Tells a client that has no broker left where the cluster is; it then connects to it when it needs one.
pub(crate) fn tell_addresses<C: ClientContext>(client: &Client<C>, brokers: &[String]) {
    let Ok(brokers) = CString::new(brokers.join(",")) else { return };
    // SAFETY: the client is alive, and the list, which is copied, ends with a zero.
    unsafe { rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr()) };
}

/// The same for a client that finds no broker when it is asked for a topic; says whether it was told. One that has them is not
/// told: it would drop what it was told at its next answer, and report again that brokers are gone.
pub(crate) fn remind<C: ClientContext>(client: &Client<C>, topic: &str, brokers: &[String]) -> bool {
    let asked = client.fetch_metadata(Some(topic), ASK);
    let code = asked.err().and_then(|error| error.rdkafka_error_code());
    let lost = code == Some(RDKafkaErrorCode::BrokerTransportFailure);
    if lost {
        tell_addresses(client, brokers);
    }
    lost
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
