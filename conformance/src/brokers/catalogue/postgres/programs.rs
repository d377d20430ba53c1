//! Where PostgreSQL's programs are: of any version that is new enough.

use std::{
    cmp::Reverse,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The first version with all that the patterns use.
const OLDEST: u32 = 13;
/// Debian's packages have a folder for each version here, which is in no search path.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The folder to take instead.
const CHOSEN: &str = "PGBIN";

/// The programs of one version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Programs {
    folder: PathBuf,
    pub(super) version: String,
}

impl Programs {
    /// Those of `$PGBIN`; otherwise the newest of Debian's, otherwise the first in the search path.
    pub(super) fn find() -> Option<Self> {
        match env::var_os(CHOSEN) {
            Some(folder) => Self::of(Path::new(&folder)),
            None => versions(Path::new(VERSIONS)).chain(search_path()).find_map(|folder| Self::of(&folder)),
        }
    }

    /// What to run for a program.
    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    fn of(folder: &Path) -> Option<Self> {
        let said = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let version = version(&String::from_utf8_lossy(&said.stdout))?;
        folder.join("initdb").exists().then(|| Self { folder: folder.to_owned(), version })
    }
}

/// The versions installed here, the newest first.
fn versions(root: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let major = |name: &str| name.parse::<u32>().ok();
    let mut found: Vec<_> =
        entries.filter_map(|entry| Some((major(entry.file_name().to_str()?)?, entry.path()))).collect();
    found.sort_by_key(|(major, _)| Reverse(*major));
    found.into_iter().map(|(_, folder)| folder.join("bin"))
}

fn search_path() -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect()
}

/// Of `postgres (PostgreSQL) 15.18 (Debian …)`: the version, if it is new enough.
fn version(said: &str) -> Option<String> {
    let version = said.trim().strip_prefix("postgres (PostgreSQL) ")?.split(' ').next()?;
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    (major.parse::<u32>().ok()? >= OLDEST).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_and_an_old_one_is_none() {
        assert_eq!(
            version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").as_deref(),
            Some("15.18")
        );
        assert_eq!(version("postgres (PostgreSQL) 18beta1\n").as_deref(), Some("18beta1"));
        assert_eq!(version("postgres (PostgreSQL) 12.22\n"), None);
        assert_eq!(version("something else\n"), None);
    }

    #[test]
    fn the_newest_version_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9.6", "13", "16", "common"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let found: Vec<_> = versions(root.path()).collect();
        assert_eq!(found, [root.path().join("16/bin"), root.path().join("13/bin")]);
        assert_eq!(versions(&root.path().join("none")).count(), 0);
    }
}
