//! PostgreSQL as the system has it: 15 on Debian 12. No broker, but the database in which the patterns keep their state.

mod owner;
mod programs;

use std::{fs, io::ErrorKind, path::Path, process::Command};

use async_trait::async_trait;
use rustix::process::Signal;

use super::LocalBroker;
use crate::brokers::{
    Error,
    fetch::system,
    ports::{PortUse, Ports},
    probe,
    site::Site,
    tool,
};
use owner::Owner;
use programs::Programs;

const PROGRAMS: system::Program = system::Program::new(
    "PostgreSQL 13 or later (in /usr/lib/postgresql, the search path or $PGBIN)",
    "postgresql",
)
.found_by(|| Programs::find().is_some());

/// What differs from how it is delivered, also in `compose.yaml`.
const SETTINGS: [&str; 3] = ["wal_level=logical", "max_connections=200", "max_wal_size=512MB"];
/// The user, the password, and the database: for a listener on the loopback that holds tests only.
const NAME: &str = "postgres";
/// The database's files, in the data folder.
const CLUSTER: &str = "cluster";

pub(super) struct Postgres;

#[async_trait]
impl LocalBroker for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn is_broker(&self) -> bool {
        false
    }

    fn ports(&self) -> &'static [PortUse] {
        const { &[PortUse::listening("client", 5432)] }
    }

    fn url(&self, ports: &Ports) -> String {
        format!("postgres://{NAME}:{NAME}@127.0.0.1:{}/{NAME}", ports.get("client"))
    }

    fn image_version(&self) -> &'static str {
        "15.18"
    }

    fn native_version(&self, _cache: &Path) -> Option<String> {
        Programs::find().map(|programs| programs.version)
    }

    async fn fetch(&self, site: &Site) -> Result<(), Error> {
        system::ensure(site, &[PROGRAMS]).await
    }

    async fn prepare(&self, site: &Site, ports: &Ports) -> Result<Command, Error> {
        let programs = Programs::find().ok_or_else(|| system::lack(site, &[&PROGRAMS]))?;
        let owner = Owner::of(site).await?;
        if site.data().join(CLUSTER).exists() {
            forget_process(site)?;
        } else {
            create(site, &owner, &programs).await?;
        }
        let mut server = owner.command(programs.path("postgres"));
        server.arg("-D").arg(owner.seen(CLUSTER));
        for setting in settings(ports) {
            server.arg("-c").arg(setting);
        }
        Ok(server)
    }

    /// Ends its clients' sessions. SIGTERM would wait until they end them.
    fn stop_signal(&self) -> Signal {
        Signal::INT
    }

    async fn probe(&self, ports: &Ports) -> Result<(), String> {
        probe::postgres::answers(ports.get("client")).await
    }
}

fn settings(ports: &Ports) -> Vec<String> {
    let ours = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={}", ports.get("client")),
        "unix_socket_directories=".to_owned(),
        // With the data, not in /dev/shm, where it would stay after a crash whose data is removed.
        "dynamic_shared_memory_type=mmap".to_owned(),
    ];
    ours.into_iter().chain(SETTINGS.map(String::from)).collect()
}

/// Makes an empty database. It appears all at once, or not at all.
async fn create(site: &Site, owner: &Owner, programs: &Programs) -> Result<(), Error> {
    let (unfinished, cluster) = (site.data().join("unfinished"), site.data().join(CLUSTER));
    _ = fs::remove_dir_all(&unfinished);
    owner.write("password", NAME)?;
    let mut initdb = owner.command(programs.path("initdb"));
    initdb.arg("--pgdata").arg(owner.seen("unfinished")).arg("--pwfile").arg(owner.seen("password"));
    initdb.args(["--username", NAME, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"]);
    tool::run(initdb.into(), site.options.ready_within).await?;
    fs::rename(unfinished, &cluster).map_err(Error::file("create", cluster))
}

/// Nothing of an earlier start runs any more. It would not start if another process had got the id of the one that crashed.
fn forget_process(site: &Site) -> Result<(), Error> {
    let file = site.data().join(CLUSTER).join("postmaster.pid");
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", file)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_the_same_settings() {
        let compose = include_str!("../../../compose.yaml");
        for setting in SETTINGS {
            assert!(compose.contains(&format!(" -c {setting}")), "{setting}");
        }
        assert!(settings(&Ports::from([("client", 7)])).contains(&"port=7".to_owned()));
    }
}
