//! Apicurio Registry, which speaks the protocol of Confluent's Schema Registry, from Maven's repository: no broker. Schemas
//! are in memory: what is stopped or killed comes back empty.

use std::{path::Path, process::Command};

use async_trait::async_trait;

use super::LocalBroker;
use crate::brokers::{
    Error, certificates,
    fetch::maven,
    ports::{PortUse, Ports},
    probe,
    site::{Site, render},
};

const VERSION: &str = "3.0.9";
const CONFIG: &str = include_str!("registry/application.properties");
/// Who logs in. For a listener on the loopback that holds tests only.
const USER: &str = "anybroker";
const PASSWORD: &str = "anybroker";

pub(super) struct Registry;

#[async_trait]
impl LocalBroker for Registry {
    fn name(&self) -> &'static str {
        "registry"
    }

    fn is_broker(&self) -> bool {
        false
    }

    fn ports(&self) -> &'static [PortUse] {
        const { &[PortUse::listening("client", 8081)] }
    }

    fn url(&self, ports: &Ports) -> String {
        format!("http://{USER}:{PASSWORD}@127.0.0.1:{}/apis/ccompat/v7", ports.get("client"))
    }

    fn image_version(&self) -> &'static str {
        VERSION
    }

    fn native_version(&self, _cache: &Path) -> Option<String> {
        Some(VERSION.into())
    }

    async fn fetch(&self, site: &Site) -> Result<(), Error> {
        archive().ensure(site).await
    }

    async fn prepare(&self, site: &Site, ports: &Ports) -> Result<Command, Error> {
        let config = site.folder.join("application.properties");
        certificates::write_private(&config, &configuration(ports))?;
        let mut server = Command::new("java");
        // It starts again and again in tests: the second compiler would take its time.
        server.args(["-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        server.arg("-XX:+ExitOnOutOfMemoryError");
        server.arg(format!("-Dquarkus.config.locations={}", config.display()));
        let jar = format!("apicurio-registry-app-{VERSION}-runner.jar");
        server.arg("-jar").arg(archive().folder(site).join(jar));
        Ok(server)
    }

    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        probe::http::succeeds(ports.get("client"), "/health/ready", None).await
    }
}

fn archive() -> maven::Archive {
    maven::Archive {
        name: format!("registry-{VERSION}"),
        artifact: format!("io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"),
    }
}

fn configuration(ports: &Ports) -> String {
    let port = ports.get("client").to_string();
    render(CONFIG, [("client", port), ("user", USER.to_owned()), ("password", PASSWORD.to_owned())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_on_the_port_given_and_wants_a_login() {
        let config = configuration(&Ports::from([("client", 1)]));
        assert!(
            config.contains("\nquarkus.http.port=1\n") && config.contains(".users.anybroker=anybroker\n")
        );
        assert!(!config.contains('@'), "{config}");
    }
}
