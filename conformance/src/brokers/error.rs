//! What can go wrong with a local broker, each with what to do about it.

use std::{io, path::PathBuf, time::Duration};

/// Why a local broker could not be started, stopped or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No broker has this name.
    #[error("there is no local broker `{name}`; there are: {known}")]
    UnknownBroker {
        /// The name asked for.
        name: String,
        /// The names there are, separated by commas.
        known: String,
    },
    /// Programs are missing that only the system's package manager installs.
    #[error(
        "{broker}: {missing} not found; run as root\n    {}\nor allow this command to run it with --install-system",
        install_command(packages)
    )]
    MissingPackages {
        /// The broker that needs them.
        broker: String,
        /// The missing programs, separated by commas.
        missing: String,
        /// Debian's packages that have them.
        packages: Vec<String>,
    },
    /// Something else listens on a port that the broker needs.
    #[error("{broker}: port {port} ({purpose}) is taken{}; stop that, or use --free-ports", by(holder.as_deref()))]
    PortTaken {
        /// The broker that needs the port.
        broker: String,
        /// The port.
        port: u16,
        /// What the broker uses it for.
        purpose: String,
        /// Who listens there, if that can be seen.
        holder: Option<String>,
    },
    /// No port could be found on which nothing listens.
    #[error("{broker}: found no free port in {tried} tries; use the default ports")]
    NoFreePort {
        /// The broker that needs the port.
        broker: String,
        /// How many ports were tried.
        tried: usize,
    },
    /// The broker ended before it answered.
    #[error("{broker}: died while starting; the end of {log}:\n{tail}")]
    Died {
        /// The broker.
        broker: String,
        /// Where its log is.
        log: String,
        /// The log's last lines.
        tail: String,
    },
    /// The broker runs but did not answer in time.
    #[error("{broker}: not ready within {within:?} ({reason}); the end of {log}:\n{tail}")]
    NotReady {
        /// The broker.
        broker: String,
        /// How long it was given.
        within: Duration,
        /// What the last readiness probe said.
        reason: String,
        /// Where its log is.
        log: String,
        /// The log's last lines.
        tail: String,
    },
    /// The broker did not end although it was killed.
    #[error("{broker}: still there {within:?} after SIGKILL (processes {pids})")]
    NotGone {
        /// The broker.
        broker: String,
        /// How long was waited.
        within: Duration,
        /// What is left of it.
        pids: String,
    },
    /// The broker is down, so it cannot be killed, paused or resumed.
    #[error("{broker} is not running; start it with `anybroker brokers up {broker}`")]
    NotRunning {
        /// The broker.
        broker: String,
    },
    /// The broker runs, but in another way than was asked for.
    #[error(
        "{broker} is already up as a {running}; take it down first with `anybroker brokers down {broker}`"
    )]
    OtherMode {
        /// The broker.
        broker: String,
        /// How it runs.
        running: super::Mode,
    },
    /// Containers were asked for and no engine answers.
    #[error("no container engine answers ({tried}); start one, or use --native")]
    NoEngine {
        /// What was asked, and what it said.
        tried: String,
    },
    /// Native brokers are processes under Linux's `/proc`.
    #[error("no container engine answers ({tried}), and native brokers need Linux; start an engine")]
    NativeNeedsLinux {
        /// What was asked, and what it said.
        tried: String,
    },
    /// The broker's native form needs the root user.
    #[error("{broker}: {doing} needs root; run as root, or use --containers")]
    NeedsRoot {
        /// The broker.
        broker: String,
        /// What needs root.
        doing: String,
    },
    /// A program that was run to prepare a broker failed.
    #[error("`{command}` failed: {output}")]
    Tool {
        /// What was run.
        command: String,
        /// What it said.
        output: String,
    },
    /// A program that was run to prepare a broker took too long and was ended.
    #[error("`{command}` did not end within {within:?} and was stopped")]
    ToolTimeout {
        /// What was run.
        command: String,
        /// How long it was given.
        within: Duration,
    },
    /// Another command works on the same broker.
    #[error("another command holds {lock} for more than {within:?}; wait for it, or end it")]
    Busy {
        /// The lock file.
        lock: PathBuf,
        /// How long was waited.
        within: Duration,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was recorded about a broker cannot be read.
    #[error("{path} is damaged ({reason}); stop the broker by hand and delete the file")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// More than one broker failed; the others were still dealt with.
    #[error("{}", several(.0))]
    Several(Vec<Error>),
}

impl Error {
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    /// One error for the failures of several brokers, if there are any.
    pub(crate) fn from_all(mut errors: Vec<Self>) -> Option<Self> {
        if errors.len() > 1 { Some(Self::Several(errors)) } else { errors.pop() }
    }
}

/// The command that installs system packages, as a person would type it.
pub(crate) fn install_command(packages: &[String]) -> String {
    format!("apt-get install -y --no-install-recommends {}", packages.join(" "))
}

fn by(holder: Option<&str>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

fn several(errors: &[Error]) -> String {
    let mut lines: Vec<String> = errors.iter().map(Error::to_string).collect();
    let packages: Vec<&[String]> = errors.iter().filter_map(missing).collect();
    if packages.len() > 1 {
        lines.push(format!("all of them at once:\n    {}", install_command(&packages.concat())));
    }
    lines.join("\n")
}

fn missing(error: &Error) -> Option<&[String]> {
    if let Error::MissingPackages { packages, .. } = error { Some(packages) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing_packages(broker: &str, package: &str) -> Error {
        Error::MissingPackages {
            broker: broker.into(),
            missing: package.into(),
            packages: vec![package.into()],
        }
    }

    #[test]
    fn missing_packages_print_the_exact_command() {
        let text = missing_packages("rabbitmq", "rabbitmq-server").to_string();
        assert!(
            text.contains("\n    apt-get install -y --no-install-recommends rabbitmq-server\n"),
            "{text}"
        );
        assert!(text.contains("--install-system"), "{text}");
    }

    #[test]
    fn several_missing_packages_end_with_one_command_for_all() {
        let text =
            Error::Several(vec![missing_packages("a", "one"), missing_packages("b", "two")]).to_string();
        assert!(text.ends_with("apt-get install -y --no-install-recommends one two"), "{text}");
    }

    #[test]
    fn a_taken_port_names_its_holder_when_known() {
        let taken = |holder: Option<&str>| Error::PortTaken {
            broker: "kafka".into(),
            port: 9092,
            purpose: "client".into(),
            holder: holder.map(String::from),
        };
        assert!(
            taken(Some("java (pid 7)")).to_string().contains("port 9092 (client) is taken by java (pid 7);")
        );
        assert!(taken(None).to_string().contains("is taken; stop that"));
    }

    #[test]
    fn one_failure_stays_itself() {
        assert!(Error::from_all(vec![]).is_none());
        let one = Error::from_all(vec![missing_packages("a", "one")]);
        assert!(matches!(one, Some(Error::MissingPackages { .. })));
    }
}
