//! Apache Pulsar: standalone, which is broker, bookie and metadata store in one process, from Maven's repository.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;

use super::LocalBroker;
use crate::brokers::{
    Error, certificates,
    fetch::maven,
    ports::{PortUse, Ports},
    probe,
    site::{Site, render},
    status::Proxied,
};

const VERSION: &str = "4.2.4";
const POM: &str = include_str!("pulsar/pom.xml");
const CONFIG: &str = include_str!("pulsar/standalone.conf");
const LOGGING: &str = include_str!("pulsar/log4j2.properties");
/// What Pulsar's own start script opens for Netty, RocksDB and BookKeeper.
const OPENED: [&str; 7] = [
    "java.base/jdk.internal.loader",
    "java.base/sun.net",
    "java.management/sun.management",
    "jdk.management/com.sun.management.internal",
    "java.base/jdk.internal.platform",
    "java.base/java.nio",
    "java.base/jdk.internal.misc",
];
/// What signs tokens, in Base64, and the one of the user `anybroker`. For listeners on the loopback that hold tests only.
const KEY: &str = "YSBrZXkgZm9yIHRlc3RzIG9uIHRoZSBsb29wYmFjayE=";
const TOKEN: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiAiYW55YnJva2VyIn0.ak31gHjOwtHsI1aPEBKRZgwFkKx91NN9vlCNw_phO7M";
/// Where the admin interface listens unless it is said otherwise.
const ADMIN: u16 = 8080;

pub(super) struct Pulsar;

#[async_trait]
impl LocalBroker for Pulsar {
    fn name(&self) -> &'static str {
        "pulsar"
    }

    fn ports(&self) -> &'static [PortUse] {
        const {
            &[
                PortUse::listening("client", 6650),
                PortUse::listening("admin", ADMIN),
                PortUse::listening("proxied", 6652),
                PortUse::advertised("proxy", 16652),
                PortUse::listening("secure", 6651),
                PortUse::listening("secure-admin", 8443),
            ]
        }
    }

    fn url(&self, ports: &Ports) -> String {
        let (client, admin) = (ports.get("client"), ports.get("admin"));
        let url = format!("pulsar://127.0.0.1:{client}/public/default");
        if admin == ADMIN { url } else { format!("{url}?admin=http://127.0.0.1:{admin}") }
    }

    fn management_url(&self, ports: &Ports) -> Option<String> {
        Some(format!("http://127.0.0.1:{}", ports.get("admin")))
    }

    fn proxied(&self, ports: &Ports) -> Option<Proxied> {
        Some(Proxied { listen: ports.get("proxy"), forward_to: ports.get("proxied") })
    }

    fn secure_urls(&self, ports: &Ports, files: &Path) -> BTreeMap<String, String> {
        let (secure, admin, files) = (ports.get("secure"), ports.get("secure-admin"), files.display());
        let given = format!("tls_ca={files}/ca.pem&admin=https://127.0.0.1:{admin}&token_file={files}/token");
        let url = format!("pulsar+ssl://127.0.0.1:{secure}/public/default?{given}");
        BTreeMap::from([("token".to_owned(), url)])
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
        certificates::write_private(&site.tls().join("token"), TOKEN)?;
        // It has a key in it.
        let config = site.folder.join("standalone.conf");
        certificates::write_private(&config, &configuration(site, ports))?;
        site.create(&site.data())?;
        let mut server = Command::new("java");
        server.args(["-Xms256m", "-Xmx768m", "-XX:MaxDirectMemorySize=512m", "-XX:+UseSerialGC"]);
        // It starts again and again in tests, and the second compiler takes a third of the processor's time of a start.
        server.arg("-XX:TieredStopAtLevel=1");
        server.args(["-XX:+ExitOnOutOfMemoryError", "-Dio.netty.tryReflectionSetAccessible=true"]);
        server.args(["-Dio.netty.allocator.numDirectArenas=2", "-Dio.netty.allocator.numHeapArenas=2"]);
        server.args(OPENED.map(|package| format!("--add-opens={package}=ALL-UNNAMED")));
        server.arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
        server.arg("-cp").arg(jars().class_path(site)).arg("org.apache.pulsar.PulsarStandaloneStarter");
        server.arg("--config").arg(config);
        server.arg("--metadata-dir").arg(site.data().join("metadata"));
        server.arg("--bookkeeper-dir").arg(site.data().join("bookkeeper"));
        server.args(["--no-functions-worker", "--no-stream-storage"]);
        Ok(server)
    }

    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        let admin = ports.get("admin");
        // Its own check publishes a message and reads it.
        probe::http::succeeds(admin, "/admin/v2/brokers/health", None).await?;
        probe::http::succeeds(admin, "/admin/v2/namespaces/public", None).await?;
        loads_topics(admin).await
    }
}

/// Whether a topic can be made where clients make theirs. Pulsar's own check uses a namespace of its own; a broker that passes
/// it may have hung while it read the policies of another, and load no topic of that until it is started again
/// (<https://github.com/apache/pulsar/issues/25294>).
async fn loads_topics(admin: u16) -> Result<(), String> {
    static PROBES: AtomicU64 = AtomicU64::new(0);
    let (process, number) = (std::process::id(), PROBES.fetch_add(1, Ordering::Relaxed));
    let topic = format!("/admin/v2/persistent/public/default/anybroker-ready-{process}-{number}");
    let made = probe::http::done(admin, "PUT", &topic, None).await;
    let loaded = match made {
        Ok(()) => probe::http::succeeds(admin, &format!("{topic}/retention?applied=true"), None).await,
        Err(why) => Err(why),
    };
    let _ = probe::http::done(admin, "DELETE", &format!("{topic}?force=true"), None).await;
    loaded
}

fn jars() -> maven::Jars {
    maven::Jars { name: format!("pulsar-{VERSION}"), pom: render(POM, [("version", VERSION.to_owned())]) }
}

fn configuration(site: &Site, ports: &Ports) -> String {
    let ports = ports.iter().map(|(purpose, port)| (purpose, port.to_string()));
    let values = [("tls", site.tls().display().to_string()), ("key", KEY.to_owned())];
    render(CONFIG, ports.chain(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::native::tests::site;

    #[test]
    fn every_listener_has_its_port_and_the_proxied_one_advertises_the_proxy() {
        let (site, _folder) = site("pulsar");
        let ports = Ports::from([
            ("client", 1),
            ("admin", 2),
            ("proxied", 3),
            ("proxy", 4),
            ("secure", 5),
            ("secure-admin", 6),
        ]);
        let config = configuration(&site, &ports);
        assert!(config.contains("\nwebServicePort=2\n"));
        assert!(config.contains("\nbindAddresses=proxied:pulsar://127.0.0.1:3\n"));
        assert!(config.contains(",proxied:pulsar://127.0.0.1:4\n"));
        assert!(!config.contains('@'), "{config}");
        assert!(Pulsar.url(&ports).ends_with("?admin=http://127.0.0.1:2"));
    }
}
