//! How brokers are run, and where their files lie.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// How brokers are run: [`Default`] picks what suits most.
#[derive(Clone, Debug)]
pub struct Options {
    /// Containers, native processes, or whichever this machine has.
    pub engine: Engine,
    /// The brokers' usual ports, or free ones.
    pub ports: PortChoice,
    /// Whether system packages may be installed (as root, by `apt-get`). If not, the error says what to run.
    pub install_system: bool,
    /// Where fetched distributions are kept; shared by all state directories.
    pub cache: PathBuf,
    /// How long fetching one broker's distribution may take.
    pub fetch_within: Duration,
    /// How long a broker may take to answer after it was started. A native one that does not is started again twice, so that each
    /// start has a third of this.
    pub ready_within: Duration,
    /// How long a broker may take to stop by itself before it is killed.
    pub stop_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            ports: PortChoice::Default,
            install_system: false,
            cache: default_cache(),
            fetch_within: Duration::from_secs(900),
            ready_within: Duration::from_secs(150),
            stop_within: Duration::from_secs(30),
        }
    }
}

/// What runs the brokers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Containers where an engine answers, otherwise native processes.
    #[default]
    Auto,
    /// Containers, or an error where no engine answers.
    Containers,
    /// Native processes, even where an engine answers.
    Native,
}

/// Which ports the brokers listen on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortChoice {
    /// Those of its last start, so that a killed broker comes back where clients look for it, or not at all if another process
    /// has one of them; at first its usual ones.
    Same,
    /// Each broker's usual ports.
    #[default]
    Default,
    /// Ports that are free, kept across restarts as long as they stay free.
    Free,
}

/// Where the brokers' state lies unless told otherwise: `$ANYBROKER_BROKERS_DIR`, or `.brokers` in the
/// enclosing Cargo workspace, or `.brokers` here.
#[must_use]
pub fn default_state() -> PathBuf {
    if let Some(directory) = env::var_os("ANYBROKER_BROKERS_DIR") {
        return directory.into();
    }
    let here = env::current_dir().unwrap_or_default();
    workspace(&here).unwrap_or(&here).join(".brokers")
}

/// Where fetched distributions lie unless told otherwise: `anybroker` in the user's cache directory.
#[must_use]
pub fn default_cache() -> PathBuf {
    let user_cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    user_cache.unwrap_or_else(env::temp_dir).join("anybroker")
}

fn workspace(here: &Path) -> Option<&Path> {
    here.ancestors().find(|directory| {
        fs::read_to_string(directory.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.lines().any(|line| line.trim() == "[workspace]"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_found_from_a_folder_inside_it() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("member/src");
        fs::create_dir_all(&inside).unwrap();
        fs::write(root.path().join("Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
        fs::write(root.path().join("member/Cargo.toml"), "[package]\n").unwrap();
        assert_eq!(workspace(&inside), Some(root.path()));
    }
}
