//! A broker for tests, which answers as it is told and is started by others only.

use std::{path::Path, process::Command};

use async_trait::async_trait;

use super::LocalBroker;
use crate::brokers::{
    Error,
    ports::{PortUse, Ports},
    site::Site,
};

pub(crate) struct Fake(pub(crate) Result<(), &'static str>);

#[async_trait]
impl LocalBroker for Fake {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn ports(&self) -> &'static [PortUse] {
        const { &[PortUse::listening("client", 9092)] }
    }

    fn url(&self, ports: &Ports) -> String {
        format!("kafka://127.0.0.1:{}", ports.get("client"))
    }

    fn image_version(&self) -> &'static str {
        "1.2.3"
    }

    fn native_version(&self, _cache: &Path) -> Option<String> {
        None
    }

    async fn fetch(&self, _site: &Site) -> Result<(), Error> {
        panic!("nothing is to be fetched")
    }

    async fn prepare(&self, _site: &Site, _ports: &Ports) -> Result<Command, Error> {
        panic!("nothing is to be prepared")
    }

    async fn probe(&self, _ports: &Ports) -> Result<(), String> {
        self.0.map_err(String::from)
    }
}
