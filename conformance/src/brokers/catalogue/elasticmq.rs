//! ElasticMQ, which speaks Amazon SQS's protocol, from Maven's repository. Queues and messages are in memory: what
//! is stopped or killed comes back empty.

use std::{path::Path, process::Command};

use async_trait::async_trait;

use super::LocalBroker;
use crate::brokers::{
    Error,
    fetch::maven,
    ports::{PortUse, Ports},
    probe,
    site::{Site, render},
};

const VERSION: &str = "1.7.1";
const POM: &str = include_str!("elasticmq/pom.xml");
const CONFIG: &str = include_str!("elasticmq/elasticmq.conf");

pub(super) struct ElasticMq;

#[async_trait]
impl LocalBroker for ElasticMq {
    fn name(&self) -> &'static str {
        "elasticmq"
    }

    fn ports(&self) -> &'static [PortUse] {
        const { &[PortUse::listening("client", 9324)] }
    }

    fn url(&self, ports: &Ports) -> String {
        format!("sqs://us-east-1?endpoint=http://127.0.0.1:{}", ports.get("client"))
    }

    fn image_version(&self) -> &'static str {
        VERSION
    }

    fn native_version(&self, _cache: &Path) -> Option<String> {
        Some(VERSION.into())
    }

    async fn fetch(&self, site: &Site) -> Result<(), Error> {
        jars().ensure(site).await
    }

    async fn prepare(&self, site: &Site, ports: &Ports) -> Result<Command, Error> {
        let port = ("client", ports.get("client").to_string());
        let config = site.write("elasticmq.conf", &render(CONFIG, [port]))?;
        let mut server = Command::new("java");
        server.args(["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]);
        server.arg(format!("-Dconfig.file={}", config.display()));
        server.arg("-cp").arg(jars().class_path(site)).arg("org.elasticmq.server.Main");
        Ok(server)
    }

    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        probe::http::succeeds(ports.get("client"), "/?Action=ListQueues&Version=2012-11-05", None).await
    }
}

fn jars() -> maven::Jars {
    maven::Jars { name: format!("elasticmq-{VERSION}"), pom: render(POM, [("version", VERSION.to_owned())]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::native::tests::site;

    #[tokio::test]
    async fn it_listens_on_the_port_given() {
        let (site, _folder) = site("elasticmq");
        ElasticMq.prepare(&site, &Ports::from([("client", 1)])).await.unwrap();
        let config = std::fs::read_to_string(site.folder.join("elasticmq.conf")).unwrap();
        assert!(config.contains("port = 1,") && config.contains("bind-port = 1,"), "{config}");
        assert!(!config.contains('@'), "{config}");
    }
}
