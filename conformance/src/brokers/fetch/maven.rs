//! Java distributions, by `mvn`: the jars that a pom names, or an archive that has them all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::system::{self, Program};
use crate::brokers::{Error, Step, lock, site::Site, tool};

const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// Later releases read the archive's pom first, and a pom whose parent was not published does not read.
const GET: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.10:get";

/// A folder of jars in the cache, and the pom that says which.
pub(crate) struct Jars {
    pub(crate) name: String,
    pub(crate) pom: String,
}

impl Jars {
    /// Makes sure that Java is there to run the jars with, and fetches them unless the cache has them.
    pub(crate) async fn ensure(&self, site: &Site) -> Result<(), Error> {
        let mut programs = vec![Program::new("java", "default-jre-headless")];
        if !self.fetched(site) {
            programs.push(Program::new("mvn", "maven"));
        }
        system::ensure(site, &programs).await?;
        self.fetch(site).await
    }

    /// All of them, as `java -cp` takes it.
    pub(crate) fn class_path(&self, site: &Site) -> PathBuf {
        site.options.cache.join(&self.name).join("*")
    }

    /// Whether the cache has the jars of this very pom. The pom lies beside them.
    fn fetched(&self, site: &Site) -> bool {
        fs::read_to_string(site.options.cache.join(&self.name).join("pom.xml"))
            .is_ok_and(|pom| pom == self.pom)
    }

    /// They appear all at once, or not at all.
    async fn fetch(&self, site: &Site) -> Result<(), Error> {
        let cache = &site.options.cache;
        let folder = cache.join(&self.name);
        let unfinished = cache.join(format!("{}.unfinished", self.name));
        let _alone =
            lock::hold(&cache.join(format!("{}.locked", self.name)), site.options.fetch_within).await?;
        if self.fetched(site) {
            return Ok(());
        }
        site.report(Step::Fetching(self.name.clone()));
        _ = fs::remove_dir_all(&unfinished);
        site.create(&unfinished)?;
        let pom = unfinished.join("pom.xml");
        fs::write(&pom, &self.pom).map_err(Error::file("write", &pom))?;
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--quiet", "--file"]).arg(&pom).arg(COPY);
        maven.arg("-DincludeScope=runtime").arg(format!("-DoutputDirectory={}", unfinished.display()));
        tool::run(maven, site.options.fetch_within).await?;
        _ = fs::remove_dir_all(&folder);
        fs::rename(&unfinished, &folder).map_err(Error::file("create", folder))
    }
}

/// An archive, unpacked in a folder of the cache.
pub(crate) struct Archive {
    pub(crate) name: String,
    /// `group:artifact:version:tar.gz:classifier`.
    pub(crate) artifact: String,
}

impl Archive {
    /// Where it is unpacked.
    pub(crate) fn folder(&self, site: &Site) -> PathBuf {
        site.options.cache.join(&self.name)
    }

    /// Makes sure that Java is there, and fetches the archive unless the cache has it. It appears all at once, or not at all.
    pub(crate) async fn ensure(&self, site: &Site) -> Result<(), Error> {
        let folder = self.folder(site);
        let mut programs = vec![Program::new("java", "default-jre-headless")];
        if !folder.exists() {
            programs.extend([Program::new("mvn", "maven"), Program::new("tar", "tar")]);
        }
        system::ensure(site, &programs).await?;
        let _alone = lock::hold(&folder.with_added_extension("locked"), site.options.fetch_within).await?;
        if folder.exists() {
            return Ok(());
        }
        site.report(Step::Fetching(self.name.clone()));
        let unfinished = folder.with_added_extension("unfinished");
        _ = fs::remove_dir_all(&unfinished);
        site.create(&unfinished)?;
        self.unpack(site, &unfinished).await?;
        fs::rename(&unfinished, &folder).map_err(Error::file("create", folder))
    }

    async fn unpack(&self, site: &Site, into: &Path) -> Result<(), Error> {
        let archive = into.join("archive.tar.gz");
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--quiet", GET, "-Dtransitive=false"]).current_dir(into);
        maven.arg(format!("-Dartifact={}", self.artifact)).arg(format!("-Ddest={}", archive.display()));
        tool::run(maven, site.options.fetch_within).await?;
        let mut tar = Command::new("tar");
        tar.arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(into);
        tool::run(tar, site.options.fetch_within).await?;
        fs::remove_file(&archive).map_err(Error::file("remove", archive))
    }
}
