//! Moto, which imitates AWS Glue's schema registry, from Python's package index: no broker. It checks no compatibility and no
//! signatures, and cannot list schemas. They are in memory: what is stopped or killed comes back empty.

use std::{path::Path, process::Command};

use async_trait::async_trait;

use super::LocalBroker;
use crate::brokers::{
    Error,
    fetch::python,
    ports::{PortUse, Ports},
    probe,
    site::Site,
};

const VERSION: &str = "5.2.5";
const DISTRIBUTION: python::Package = python::Package { name: "moto", version: VERSION, extras: "[server]" };

pub(super) struct Glue;

#[async_trait]
impl LocalBroker for Glue {
    fn name(&self) -> &'static str {
        "glue"
    }

    fn is_broker(&self) -> bool {
        false
    }

    fn ports(&self) -> &'static [PortUse] {
        const { &[PortUse::listening("client", 5000)] }
    }

    fn url(&self, ports: &Ports) -> String {
        format!("glue://us-east-1?endpoint=http://127.0.0.1:{}", ports.get("client"))
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
        // The environment was moved after it was filled: its interpreter bears that, the scripts in it do not.
        let mut server = Command::new(DISTRIBUTION.folder(site).join("bin/python"));
        server.args(["-m", "moto.server", "--host", "127.0.0.1", "--port"]);
        server.arg(ports.get("client").to_string());
        Ok(server)
    }

    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        probe::http::succeeds(ports.get("client"), "/moto-api/", None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_where_it_is() {
        let url = Glue.url(&Ports::from([("client", 1)]));
        assert_eq!(url, "glue://us-east-1?endpoint=http://127.0.0.1:1");
    }
}
