//! Apache Kafka: one node that is broker and controller, from Maven's repository.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use async_trait::async_trait;

use super::LocalBroker;
use crate::brokers::{
    Error,
    certificates::{self, PASSWORD, USER},
    fetch::maven,
    ports::{PortUse, Ports},
    probe,
    site::{Site, render},
    status::Proxied,
    tool,
};

const VERSION: &str = "4.4.0";
const POM: &str = include_str!("kafka/pom.xml");
const CONFIG: &str = include_str!("kafka/server.properties");
const LOGGING: &str = include_str!("kafka/log4j2.properties");
/// Any fixed id: the node is a cluster of its own.
const CLUSTER: &str = "YW55YnJva2VyLXRlc3RzIQ";
const FORMAT_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Kafka;

#[async_trait]
impl LocalBroker for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn ports(&self) -> &'static [PortUse] {
        const {
            &[
                PortUse::listening("client", 9092),
                PortUse::listening("controller", 9093),
                PortUse::listening("proxied", 9094),
                PortUse::advertised("proxy", 19094),
                PortUse::listening("secure", 9095),
                PortUse::listening("mutual", 9096),
            ]
        }
    }

    fn url(&self, ports: &Ports) -> String {
        format!("kafka://127.0.0.1:{}", ports.get("client"))
    }

    fn proxied(&self, ports: &Ports) -> Option<Proxied> {
        Some(Proxied { listen: ports.get("proxy"), forward_to: ports.get("proxied") })
    }

    fn secure_urls(&self, ports: &Ports, files: &Path) -> BTreeMap<String, String> {
        let files = files.display();
        let login = |mechanism: &str| {
            let port = ports.get("secure");
            let given = format!("tls_ca={files}/ca.pem&password_file={files}/password&sasl={mechanism}");
            format!("kafka+ssl://{USER}@127.0.0.1:{port}?{given}")
        };
        let given =
            format!("tls_ca={files}/ca.pem&tls_certificate={files}/client.pem&tls_key={files}/client.key");
        BTreeMap::from([
            ("password".to_owned(), login("SCRAM-SHA-512")),
            ("scram-256".to_owned(), login("SCRAM-SHA-256")),
            ("plain".to_owned(), login("PLAIN")),
            ("certificate".to_owned(), format!("kafka+ssl://127.0.0.1:{}?{given}", ports.get("mutual"))),
        ])
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
        let logging = site.write("log4j2.properties", LOGGING)?;
        certificates::ensure(&site.tls())?;
        // It has a password in it.
        let config = site.folder.join("server.properties");
        certificates::write_private(&config, &configuration(site, ports))?;
        if !site.data().join("meta.properties").exists() {
            site.create(&site.data())?;
            tool::run(format(site, &logging, &config).into(), FORMAT_WITHIN).await?;
        }
        let mut broker = java(site, &logging);
        broker.args(["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]);
        broker.arg("kafka.Kafka").arg(config);
        Ok(broker)
    }

    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        probe::kafka::lists_a_broker(ports.get("client")).await
    }
}

fn jars() -> maven::Jars {
    maven::Jars { name: format!("kafka-{VERSION}"), pom: render(POM, [("version", VERSION.to_owned())]) }
}

fn configuration(site: &Site, ports: &Ports) -> String {
    let ports = ports.iter().map(|(purpose, port)| (purpose, port.to_string()));
    let values = [
        ("data", site.data().display().to_string()),
        ("tls", site.tls().display().to_string()),
        ("user", USER.to_owned()),
        ("password", PASSWORD.to_owned()),
    ];
    render(CONFIG, ports.chain(values))
}

fn java(site: &Site, logging: &Path) -> Command {
    let mut java = Command::new("java");
    java.arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
    java.arg("-Djava.awt.headless=true").arg("-cp").arg(jars().class_path(site));
    java
}

/// Gives the data directory its identity, which Kafka wants before its first start.
fn format(site: &Site, logging: &Path, config: &Path) -> Command {
    let mut format = java(site, logging);
    format.args(["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "--ignore-formatted"]);
    format.args(["--cluster-id", CLUSTER, "--config"]).arg(config);
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        format.arg("--add-scram").arg(format!("{mechanism}=[name={USER},password={PASSWORD}]"));
    }
    format
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::native::tests::site;

    #[test]
    fn every_listener_has_its_port_and_the_proxied_one_advertises_the_proxy() {
        let (site, _folder) = site("kafka");
        let ports = Ports::from([
            ("client", 1),
            ("controller", 2),
            ("proxied", 3),
            ("proxy", 4),
            ("secure", 5),
            ("mutual", 6),
        ]);
        let config = configuration(&site, &ports);
        let config = config.replace("voters=1@127", "voters=1 at 127");
        assert!(config.contains("\ncontroller.quorum.voters=1 at 127.0.0.1:2\n"));
        let listeners = "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2,PROXIED://127.0.0.1:3,\
                         SECURE://127.0.0.1:5,MUTUAL://127.0.0.1:6";
        assert!(config.contains(&format!("\nlisteners={listeners}\n")));
        let advertised =
            "PLAINTEXT://127.0.0.1:1,PROXIED://127.0.0.1:4,SECURE://127.0.0.1:5,MUTUAL://127.0.0.1:6";
        assert!(config.contains(&format!("\nadvertised.listeners={advertised}\n")));
        assert!(!config.contains('@'), "{config}");
    }
}
