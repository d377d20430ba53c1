//! S3Proxy, which speaks the protocol of Amazon S3, from Maven's repository: no broker. Objects are files: what is stopped or
//! killed comes back with them.

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

const VERSION: &str = "3.0.0";
const POM: &str = include_str!("s3/pom.xml");
const CONFIG: &str = include_str!("s3/s3proxy.conf");
const LOGGING: &str = include_str!("s3/logback.xml");
/// Who signs requests. For a listener on the loopback that holds tests only.
const USER: &str = "anybroker";
const PASSWORD: &str = "anybroker";
/// The bucket that there is.
const BUCKET: &str = "claims";

pub(super) struct S3;

#[async_trait]
impl LocalBroker for S3 {
    fn name(&self) -> &'static str {
        "s3"
    }

    fn is_broker(&self) -> bool {
        false
    }

    fn ports(&self) -> &'static [PortUse] {
        const { &[PortUse::listening("client", 9000)] }
    }

    fn url(&self, ports: &Ports) -> String {
        format!("http://{USER}:{PASSWORD}@127.0.0.1:{}/{BUCKET}", ports.get("client"))
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
        site.create(&site.data().join(BUCKET))?;
        let logging = site.write("logback.xml", LOGGING)?;
        let config = site.folder.join("s3proxy.conf");
        certificates::write_private(&config, &configuration(site, ports))?;
        let mut server = Command::new("java");
        // It starts again and again in tests: the second compiler would take its time.
        server.args(["-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        server.arg("-XX:+ExitOnOutOfMemoryError");
        server.arg(format!("-Dlogback.configurationFile={}", logging.display()));
        server.arg("-cp").arg(jars().class_path(site)).arg("org.gaul.s3proxy.Main");
        server.arg("--properties").arg(config);
        Ok(server)
    }

    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        // Whoever asks for all buckets and does not sign is refused, by one that answers.
        probe::http::refuses(ports.get("client"), "/").await
    }
}

fn jars() -> maven::Jars {
    maven::Jars { name: format!("s3proxy-{VERSION}"), pom: render(POM, [("version", VERSION.to_owned())]) }
}

fn configuration(site: &Site, ports: &Ports) -> String {
    let (port, data) = (ports.get("client").to_string(), site.data().display().to_string());
    let values = [("client", port), ("data", data), ("user", USER.into()), ("password", PASSWORD.into())];
    render(CONFIG, values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::native::tests::site;

    #[test]
    fn it_listens_on_the_port_given_and_wants_signatures() {
        let (site, _folder) = site("s3");
        let config = configuration(&site, &Ports::from([("client", 1)]));
        assert!(config.contains("\ns3proxy.endpoint=http://127.0.0.1:1\n"), "{config}");
        assert!(config.contains("\ns3proxy.authorization=aws-v4\n") && !config.contains('@'), "{config}");
    }
}
