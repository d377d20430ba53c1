//! RabbitMQ as the system's package manager has it: 3.10 on Debian 12.

use std::{collections::BTreeMap, path::Path, process::Command};

use async_trait::async_trait;

use super::{LocalBroker, rabbit};
use crate::brokers::{
    Error,
    fetch::system,
    ports::{PortUse, Ports},
    site::Site,
};

pub(super) struct RabbitMq;

#[async_trait]
impl LocalBroker for RabbitMq {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn ports(&self) -> &'static [PortUse] {
        const {
            &[
                PortUse::listening("client", 5672),
                PortUse::listening("secure", 5671),
                PortUse::listening("management", 15672),
                PortUse::listening("distribution", 25672),
                PortUse::listening("epmd", 24369),
            ]
        }
    }

    fn url(&self, ports: &Ports) -> String {
        rabbit::url(ports)
    }

    fn management_url(&self, ports: &Ports) -> Option<String> {
        Some(rabbit::management_url(ports))
    }

    fn secure_urls(&self, ports: &Ports, files: &Path) -> BTreeMap<String, String> {
        rabbit::secure_urls(ports, files)
    }

    fn image_version(&self) -> &'static str {
        "3.10.8"
    }

    fn native_version(&self, _cache: &Path) -> Option<String> {
        rabbit::version(Path::new("/"))
    }

    async fn fetch(&self, site: &Site) -> Result<(), Error> {
        system::ensure(site, &[system::Program::new(rabbit::SERVER, "rabbitmq-server")]).await
    }

    async fn prepare(&self, site: &Site, ports: &Ports) -> Result<Command, Error> {
        rabbit::configure(site, ports, &site.data(), &site.tls())?;
        let mut server = Command::new(rabbit::SERVER);
        server.envs(rabbit::environment(&site.data(), ports));
        Ok(server)
    }

    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        rabbit::probe(ports).await
    }
}
