//! The brokers there are, and the database, the registries of schemas and the object store that stand beside them. Another one is one
//! more file here, one line in [`ALL`], and a service of its name in `compose.yaml`.

mod elasticmq;
#[cfg(test)]
pub(crate) mod fake;
mod glue;
mod kafka;
mod nats;
mod postgres;
mod pulsar;
mod rabbit;
mod rabbitmq;
mod rabbitmq4;
mod registry;
mod s3;

use std::{collections::BTreeMap, path::Path, process::Command};

use async_trait::async_trait;
use rustix::process::Signal;

use super::{
    Error,
    ports::{PortUse, Ports},
    site::Site,
    status::Proxied,
};

/// All brokers, in the order in which they are shown.
pub(crate) const ALL: &[&dyn LocalBroker] = &[
    &kafka::Kafka,
    &rabbitmq::RabbitMq,
    &rabbitmq4::RabbitMq4,
    &nats::Nats,
    &elasticmq::ElasticMq,
    &pulsar::Pulsar,
    &postgres::Postgres,
    &registry::Registry,
    &glue::Glue,
    &s3::S3,
];

/// One kind of broker: how to get it, start it, and ask it whether it is ready. Everything else (processes,
/// deadlines, ports, containers) is the same for all.
#[async_trait]
pub(crate) trait LocalBroker: Send + Sync {
    /// As commands take it, and as `compose.yaml` names its service.
    fn name(&self) -> &'static str;

    /// False for a database, a registry of schemas and an object store: it is started, broken and stopped like a broker, but no messages go through it.
    fn is_broker(&self) -> bool {
        true
    }

    /// What it listens on. In `compose.yaml`, `ANYBROKER_<NAME>_<PURPOSE>` is the port.
    fn ports(&self) -> &'static [PortUse];

    /// Where clients connect.
    fn url(&self, ports: &Ports) -> String;

    /// Where its management interface answers.
    fn management_url(&self, _ports: &Ports) -> Option<String> {
        None
    }

    /// How a client reaches it through a proxy, if not just by forwarding to the client port.
    fn proxied(&self, _ports: &Ports) -> Option<Proxied> {
        None
    }

    /// How clients reach it encrypted, by what they log in with; `files` is the folder that
    /// [`certificates::ensure`](super::certificates::ensure) fills. Native processes only.
    fn secure_urls(&self, _ports: &Ports, _files: &Path) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// The version that its image has.
    fn image_version(&self) -> &'static str;

    /// The version that runs natively, if it is known before it was fetched.
    fn native_version(&self, cache: &Path) -> Option<String>;

    /// Makes sure that its distribution is there.
    async fn fetch(&self, site: &Site) -> Result<(), Error>;

    /// Writes its configuration, prepares its data, and returns the command that becomes the broker.
    async fn prepare(&self, site: &Site, ports: &Ports) -> Result<Command, Error>;

    /// What asks its main process to stop.
    fn stop_signal(&self) -> Signal {
        Signal::TERM
    }

    /// Whether it answers; if not, why.
    async fn probe(&self, ports: &Ports) -> Result<(), String>;
}

/// The brokers of these names; all, if none is named.
pub(crate) fn named(names: &[&str]) -> Result<Vec<&'static dyn LocalBroker>, Error> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let mut chosen: Vec<&'static dyn LocalBroker> = Vec::new();
    for name in names {
        let broker = one(name)?;
        if chosen.iter().all(|other| other.name() != broker.name()) {
            chosen.push(broker);
        }
    }
    Ok(chosen)
}

pub(crate) fn one(name: &str) -> Result<&'static dyn LocalBroker, Error> {
    ALL.iter().find(|broker| broker.name() == name).copied().ok_or_else(|| Error::UnknownBroker {
        name: name.into(),
        known: ALL.iter().map(|broker| broker.name()).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_means_all_and_a_name_twice_means_once() {
        let names = |chosen: Vec<&'static dyn LocalBroker>| {
            chosen.into_iter().map(LocalBroker::name).collect::<Vec<_>>()
        };
        assert_eq!(
            names(named(&[]).unwrap()),
            [
                "kafka",
                "rabbitmq",
                "rabbitmq4",
                "nats",
                "elasticmq",
                "pulsar",
                "postgres",
                "registry",
                "glue",
                "s3"
            ]
        );
        assert_eq!(names(named(&["rabbitmq", "rabbitmq"]).unwrap()), ["rabbitmq"]);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let text = named(&["kafak"]).err().unwrap().to_string();
        assert_eq!(
            text,
            "there is no local broker `kafak`; there are: kafka, rabbitmq, rabbitmq4, nats, elasticmq, pulsar, postgres, registry, glue, s3"
        );
    }

    #[test]
    fn all_brokers_run_side_by_side_on_their_usual_ports() {
        let usual = ALL.iter().flat_map(|broker| broker.ports()).map(|each| each.usual);
        let mut seen = HashSet::new();
        assert!(usual.into_iter().all(|port| seen.insert(port)));
    }

    #[test]
    fn every_broker_and_every_port_is_in_the_compose_file() {
        let compose = include_str!("../../../compose.yaml");
        for broker in ALL {
            assert!(compose.contains(&format!("\n  {}:\n", broker.name())), "{}", broker.name());
            assert!(compose.contains(&format!(":{}", broker.image_version())), "{}", broker.name());
        }
    }
}
