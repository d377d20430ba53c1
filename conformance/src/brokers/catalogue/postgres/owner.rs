//! Whose server it is: PostgreSQL refuses to run as root, and its data must be its own.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use crate::brokers::{Error, certificates::write_private, site::Site, tool};

/// Whose it is where root starts it: the user of the system's package.
const USER: &str = "postgres";
/// Where that user sees a folder that lies in one that it may not enter, such as root's home.
const SHOWN: &str = "/mnt";
/// Shows the folder ($1) there, in a mount namespace that ends with the server.
const SHOW: &str = r#"mount --bind "$1" /mnt; shift; exec "$@""#;

/// How programs are run on the data folder.
pub(super) struct Owner {
    /// What is typed before a program.
    words: Vec<OsString>,
    /// The folder.
    data: PathBuf,
    /// Where the programs see it.
    seen: PathBuf,
}

impl Owner {
    /// Makes the data folder the owner's.
    pub(super) async fn of(site: &Site) -> Result<Self, Error> {
        let mut install = tokio::process::Command::new("install");
        install.args(["--directory", "--mode", "700"]);
        let root = rustix::process::geteuid().is_root();
        if root {
            install.args(["--owner", USER, "--group", USER]);
        }
        let data = site.data();
        install.arg(&data);
        tool::run(install, site.options.ready_within).await?;
        Ok(Self::new(data, root))
    }

    fn new(data: PathBuf, root: bool) -> Self {
        let (mut words, mut seen) = (Vec::<OsString>::new(), data.clone());
        if root && !anybody_enters(&data) {
            words.extend(["unshare", "--mount", "--propagation", "private"].map(OsString::from));
            words.extend(["sh", "-euc", SHOW, "show"].map(OsString::from));
            words.push(data.clone().into());
            seen = SHOWN.into();
        }
        if root {
            let user = [format!("--reuid={USER}"), format!("--regid={USER}"), "--init-groups".into()];
            words.push("setpriv".into());
            words.extend(user.map(OsString::from));
        }
        Self { words, data, seen }
    }

    /// The program as the owner runs it; each step replaces itself with the next.
    pub(super) fn command(&self, program: PathBuf) -> Command {
        let mut words = self.words.iter().cloned().chain([program.into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }

    /// What is in the data folder, as programs see it.
    pub(super) fn seen(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.seen.join(name.as_ref())
    }

    /// Writes a file that only the owner may read.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let file = write_private(&self.data.join(name), text)?;
        let given =
            fs::metadata(&self.data).and_then(|data| chown(&file, Some(data.uid()), Some(data.gid())));
        given.map_err(Error::file("give away", file))
    }
}

/// Whether everybody may pass through the folders that this one is in.
fn anybody_enters(data: &Path) -> bool {
    let passes = |folder: &Path| fs::metadata(folder).is_ok_and(|folder| folder.mode() & 0o001 != 0);
    data.ancestors().skip(1).all(passes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn typed(owner: &Owner) -> String {
        let command = owner.command("/bin/postgres".into());
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_root_changes_the_user_and_only_a_hidden_folder_is_shown_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mode = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();

        mode(0o700);
        assert_eq!(typed(&Owner::new(data.clone(), false)), "/bin/postgres");
        let hidden = Owner::new(data.clone(), true);
        assert!(typed(&hidden).starts_with("unshare --mount "), "{}", typed(&hidden));
        assert_eq!(hidden.seen("cluster"), Path::new("/mnt/cluster"));

        mode(0o755);
        let open = Owner::new(data.clone(), true);
        assert_eq!(typed(&open), "setpriv --reuid=postgres --regid=postgres --init-groups /bin/postgres");
        assert_eq!(open.seen("cluster"), data.join("cluster"));
    }
}
