//! A Debian release in a folder, by `debootstrap`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use super::system;
use crate::brokers::{Error, Step, lock, site::Site, tool};

const ASK_WITHIN: Duration = Duration::from_secs(30);

/// A release with one package in it, in a folder of the cache.
pub(crate) struct Release {
    pub(crate) suite: &'static str,
    pub(crate) folder: &'static str,
    pub(crate) package: &'static str,
    /// A file that the package has, by which it is known to be there.
    pub(crate) has: &'static str,
}

impl Release {
    /// The folder that can be a root.
    pub(crate) fn root(&self, cache: &Path) -> PathBuf {
        cache.join(self.folder)
    }

    /// Fetches the release unless the cache has it. It appears all at once, or not at all.
    pub(crate) async fn fetch(&self, site: &Site) -> Result<(), Error> {
        if !rustix::process::geteuid().is_root() {
            let doing = format!("a Debian {} of its own", self.suite);
            return Err(Error::NeedsRoot { broker: site.broker.into(), doing });
        }
        let root = self.root(&site.options.cache);
        let _alone = lock::hold(&root.with_extension("locked"), site.options.fetch_within).await?;
        if self.fetched(&root) {
            return Ok(());
        }
        system::ensure(site, &[system::Program::new("debootstrap", "debootstrap")]).await?;
        site.report(Step::Fetching(format!("{} of Debian {}", self.package, self.suite)));
        let unfinished = root.with_extension("unfinished");
        _ = fs::remove_dir_all(&unfinished);
        tool::run(self.debootstrap(&unfinished).await, site.options.fetch_within).await?;
        let hosts = unfinished.join("etc/hosts");
        fs::write(&hosts, "127.0.0.1 localhost\n").map_err(Error::file("write", hosts))?;
        fs::rename(&unfinished, &root).map_err(Error::file("create", root))
    }

    fn fetched(&self, root: &Path) -> bool {
        root.join(self.has.trim_start_matches('/')).exists()
    }

    /// Its mounts are in a namespace of their own, so that none is left over if it is ended.
    async fn debootstrap(&self, root: &Path) -> Command {
        let mut debootstrap = Command::new("unshare");
        debootstrap.args(["--mount", "--propagation", "private", "debootstrap", "--variant=minbase"]);
        debootstrap.arg(format!("--include={}", self.package)).arg(self.suite).arg(root).args(mirror().await);
        debootstrap
    }
}

/// `$ANYBROKER_DEBIAN_MIRROR`, or where this system's own packages come from if it is a Debian; otherwise
/// debootstrap knows one.
async fn mirror() -> Option<String> {
    if let Ok(mirror) = env::var("ANYBROKER_DEBIAN_MIRROR") {
        return Some(mirror);
    }
    let mut sites = Command::new("apt-get");
    sites.args(["indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian"]);
    main_site(&tool::run(sites, ASK_WITHIN).await.ok()?)
}

/// The security updates are at a site that has nothing else.
fn main_site(sites: &str) -> Option<String> {
    sites.lines().find(|site| !site.is_empty() && !site.contains("security")).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_security_site_is_not_a_mirror() {
        assert_eq!(main_site("http://a/debian-security\nhttp://a/debian\n"), Some("http://a/debian".into()));
        assert_eq!(main_site(""), None);
    }
}
