//! RabbitMQ 4: Debian 13's, in a folder of its own that becomes the root of the broker's processes, so that
//! nothing of it is installed into the system.

use std::{collections::BTreeMap, path::Path, process::Command};

use async_trait::async_trait;

use super::{LocalBroker, rabbit};
use crate::brokers::{
    Error,
    fetch::debian,
    ports::{PortUse, Ports},
    process::MARK,
    site::Site,
};

const RELEASE: debian::Release = debian::Release {
    suite: "trixie",
    folder: "rabbitmq-debian-13",
    package: "rabbitmq-server",
    has: rabbit::SERVER,
};
/// Where the data folder appears under the new root.
const DATA: &str = "/data";
/// And where its certificates do.
const TLS: &str = "/tls";
/// Enters the new root ($1), with the folders of data ($2) and certificates ($3) in it, in a mount namespace that ends with the broker.
const ENTER: &str = r#"
for each in proc dev sys; do mount --bind "/$each" "$1/$each"; done
mkdir -p "$1/data" "$1/tls"
mount --bind "$2" "$1/data"
mount --bind "$3" "$1/tls"
root=$1
shift 3
exec chroot "$root" /usr/bin/env -i "$@"
"#;

pub(super) struct RabbitMq4;

#[async_trait]
impl LocalBroker for RabbitMq4 {
    fn name(&self) -> &'static str {
        "rabbitmq4"
    }

    fn ports(&self) -> &'static [PortUse] {
        const {
            &[
                PortUse::listening("client", 5673),
                PortUse::listening("secure", 5674),
                PortUse::listening("management", 15673),
                PortUse::listening("distribution", 25673),
                PortUse::listening("epmd", 24370),
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
        "4.0.5"
    }

    fn native_version(&self, cache: &Path) -> Option<String> {
        rabbit::version(&RELEASE.root(cache))
    }

    async fn fetch(&self, site: &Site) -> Result<(), Error> {
        RELEASE.fetch(site).await
    }

    async fn prepare(&self, site: &Site, ports: &Ports) -> Result<Command, Error> {
        rabbit::configure(site, ports, Path::new(DATA), Path::new(TLS))?;
        Ok(enter(site, ports))
    }

    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        rabbit::probe(ports).await
    }
}

/// Every step replaces itself with the next, so the process started becomes the broker.
fn enter(site: &Site, ports: &Ports) -> Command {
    let mut enter = Command::new("unshare");
    enter.args(["--mount", "--propagation", "private", "sh", "-euc", ENTER, "enter"]);
    enter.arg(RELEASE.root(&site.options.cache)).arg(site.data()).arg(site.tls());
    enter.args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]);
    enter.arg(format!("{MARK}={}", site.mark()));
    for (name, value) in rabbit::environment(Path::new(DATA), ports) {
        enter.arg(format!("{name}={value}"));
    }
    enter.arg(rabbit::SERVER);
    enter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::native::tests::site;

    #[test]
    fn the_mark_and_the_paths_hold_under_the_new_root() {
        let (site, _folder) = site("rabbitmq4");
        let command = enter(&site, &Ports::default());
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        assert!(arguments.contains(&format!("{MARK}={}", site.mark()).into()), "{arguments:?}");
        assert!(arguments.contains(&"RABBITMQ_CONFIG_FILE=/data/rabbitmq.conf".into()), "{arguments:?}");
        assert_eq!(arguments.last().unwrap(), rabbit::SERVER);
    }
}
