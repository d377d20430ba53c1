//! The brokers under test, and how a Python program is told what to do on each.

use anybroker::{BrokerUrl, Group, Topic};
use anybroker_conformance::brokers::{Brokers, Options, PortChoice, State, default_state};

use crate::{Case, kafka, nats, rabbitmq, sqs};

/// A broker in one configuration.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// The broker by the starter's name.
    pub(crate) process: &'static str,
    /// Of the URL.
    pub(crate) parameters: &'static str,
    /// The Python program.
    pub(crate) program: &'static str,
    /// What it is told about where the broker is.
    pub(crate) address: fn(&BrokerUrl) -> Vec<String>,
    /// What it is told to consume: this many messages of the group.
    pub(crate) source: fn(&Topic, &Group, usize) -> Vec<String>,
    /// Whether headers of different names come in the order in which they were written.
    pub(crate) keeps_order_of_headers: bool,
    /// The letters that the client in Python cannot write or read.
    pub(crate) cannot: &'static [&'static str],
    /// Whether the broker's own id is that of a message that has none.
    pub(crate) gives_an_id: bool,
    /// Whether an event's `partitionkey` is an attribute beside the key.
    pub(crate) keeps_partition_key: bool,
    /// The ways in which the program writes events; `structured` is one of them.
    pub(crate) modes: &'static [&'static str],
    /// Cases of this broker alone.
    pub(crate) own: &'static [(&'static str, Case)],
}

/// Every broker, in the configurations that differ in what a foreign client has to do.
pub(crate) fn all() -> Vec<Target> {
    vec![kafka::TARGET, rabbitmq::ONE_QUEUE, rabbitmq::PARTITIONS, nats::TARGET, sqs::TARGET]
}

impl Target {
    /// What is not tried, for the report.
    pub(crate) fn without(&self) -> String {
        self.cannot.iter().map(|what| format!("; the client cannot have {what}")).collect()
    }

    /// Where the starter runs it, or why it does not.
    pub(crate) fn running(&self) -> Result<String, String> {
        let process = self.process;
        let options = Options { ports: PortChoice::Same, ..Options::default() };
        let brokers = Brokers::open(default_state(), options).map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let status = runtime.block_on(brokers.status(&[process])).map_err(|e| e.to_string())?;
        let ready = status.into_iter().find(|status| status.state == State::Ready);
        ready.and_then(|status| status.url).ok_or_else(|| {
            format!(
                "{process} is not running; start it: anybroker brokers up {process}, or run all tests by cargo xtask \
                 test. ANYBROKER_TEST_EXCLUDE={process} leaves it out by name"
            )
        })
    }

    /// `ANYBROKER_TEST_EXCLUDE=kafka,python` leaves out a broker, or everything in here, by name and reported.
    pub(crate) fn excluded(&self) -> Option<&'static str> {
        let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
        let named = names.split(',').any(|name| name == self.process || name == "python");
        named.then_some("excluded by ANYBROKER_TEST_EXCLUDE")
    }
}
