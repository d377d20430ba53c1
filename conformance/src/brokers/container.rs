//! Brokers in containers, from the shipped `compose.yaml`.

use std::{ffi::OsStr, fs, path::Path, path::PathBuf, time::Duration};

use tokio::process::Command;

use super::{Error, Ports, catalogue::LocalBroker, lock, runner::Condition, site::Site, tool};

const COMPOSE: &str = include_str!("../../compose.yaml");
const ENGINES: [&str; 2] = ["docker", "podman"];
/// An engine that answers at all answers at once.
const ASK_WITHIN: Duration = Duration::from_secs(10);

/// A container engine that answers and can read a compose file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContainerEngine(&'static str);

impl ContainerEngine {
    /// The first engine that answers, or what each of them said.
    pub(crate) async fn find() -> Result<Self, String> {
        let mut said = Vec::new();
        for engine in ENGINES {
            match Self(engine).answers().await {
                Ok(()) => return Ok(Self(engine)),
                Err(error) => said.push(first_and_last_line(&error.to_string())),
            }
        }
        Err(said.join("; "))
    }

    #[cfg(test)]
    pub(crate) fn named(program: &'static str) -> Self {
        Self(program)
    }

    async fn answers(self) -> Result<(), Error> {
        for words in [&["info"][..], &["compose", "version"]] {
            tool::run(self.command(words), ASK_WITHIN).await?;
        }
        Ok(())
    }

    fn command<S: AsRef<OsStr>>(self, words: &[S]) -> Command {
        let mut command = Command::new(self.0);
        command.args(words);
        command
    }
}

/// One broker's service in the compose project of its set.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) engine: ContainerEngine,
    /// The folder of the set.
    pub(crate) set: PathBuf,
    pub(crate) name: &'static str,
}

impl Service {
    /// Creates the container or starts the one there is, with its data.
    pub(crate) async fn start(
        &self,
        broker: &dyn LocalBroker,
        site: &Site,
        ports: &Ports,
    ) -> Result<(), Error> {
        let _alone = lock::hold(&self.set.join("containers"), site.options.fetch_within).await?;
        let file = self.file();
        fs::write(&file, COMPOSE).map_err(Error::file("write", &file))?;
        let mut up = self.compose(&["up", "--detach", self.name]);
        up.envs(port_variables(broker, ports));
        tool::run(up, site.options.fetch_within).await.map(drop)
    }

    /// Runs `stop`, `kill`, `pause` or `unpause` on the service.
    pub(crate) async fn tell(&self, verb: &str, within: Duration) -> Result<(), Error> {
        tool::run(self.compose(&[verb, self.name]), within).await.map(drop)
    }

    /// Removes the container and its data.
    pub(crate) async fn remove(&self, within: Duration) -> Result<(), Error> {
        tool::run(self.compose(&["rm", "--stop", "--force", "--volumes", self.name]), within).await.map(drop)
    }

    pub(crate) async fn condition(&self) -> Result<Condition, Error> {
        let id = tool::run(self.compose(&["ps", "--all", "--quiet", self.name]), ASK_WITHIN).await?;
        if id.trim().is_empty() {
            return Ok(Condition::Gone);
        }
        let inspect = self.engine.command(&["inspect", "--format", "{{.State.Status}}", id.trim()]);
        Ok(condition(tool::run(inspect, ASK_WITHIN).await?.trim()))
    }

    /// The end of its log.
    pub(crate) async fn tail(&self) -> String {
        let logs = self.compose(&["logs", "--no-log-prefix", "--tail", "20", self.name]);
        tool::run(logs, ASK_WITHIN).await.unwrap_or_else(|error| error.to_string())
    }

    /// The command that shows its log.
    pub(crate) fn log(&self) -> String {
        format!("{} compose --project-name {} logs {}", self.engine.0, self.project(), self.name)
    }

    fn compose(&self, words: &[&str]) -> Command {
        let mut command = self.engine.command(&["compose", "--project-name", &self.project(), "--file"]);
        command.arg(self.file()).args(words);
        command
    }

    fn file(&self) -> PathBuf {
        self.set.join("containers").join("compose.yaml")
    }

    fn project(&self) -> String {
        project(&self.set)
    }
}

/// A set's folder as a name that compose accepts.
fn project(set: &Path) -> String {
    let words = set.to_string_lossy().to_lowercase();
    let words: Vec<&str> =
        words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("anybroker-{}", words.join("-"))
}

fn port_variables(broker: &dyn LocalBroker, ports: &Ports) -> Vec<(String, String)> {
    let variable = |purpose: &str| format!("ANYBROKER_{}_{purpose}", broker.name()).to_uppercase();
    ports.iter().map(|(purpose, port)| (variable(purpose), port.to_string())).collect()
}

fn condition(status: &str) -> Condition {
    match status {
        "running" | "restarting" | "created" | "starting" => Condition::Running,
        "paused" => Condition::Paused,
        _ => Condition::Gone,
    }
}

fn first_and_last_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    lines.next_back().map_or_else(|| first.to_owned(), |last| format!("{first}: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::catalogue;

    #[test]
    fn sets_in_different_folders_are_different_projects() {
        assert_eq!(project(Path::new("/home/Ann/shop/.brokers")), "anybroker-home-ann-shop-brokers");
        assert_ne!(project(Path::new("/a/b")), project(Path::new("/a/c")));
    }

    #[test]
    fn every_port_variable_is_in_the_compose_file_with_its_usual_value() {
        for broker in catalogue::ALL {
            let used =
                broker.ports().iter().filter(|each| COMPOSE.contains(&default_of(*broker, each.purpose)));
            for each in used.clone() {
                let expected = format!("{}{}}}", default_of(*broker, each.purpose), each.usual);
                assert!(COMPOSE.contains(&expected), "{expected}");
            }
            assert!(used.into_iter().any(|each| each.purpose == "client"), "{}", broker.name());
        }
    }

    fn default_of(broker: &dyn LocalBroker, purpose: &str) -> String {
        let (variable, _) = port_variables(broker, &Ports::from([(purpose, 1)])).remove(0);
        format!("${{{variable}:-")
    }

    #[test]
    fn the_file_is_given_to_compose_with_the_project() {
        let service = Service { engine: ContainerEngine("podman"), set: "/s".into(), name: "kafka" };
        let command = service.compose(&["kill", "kafka"]);
        let words: Vec<_> = command.as_std().get_args().map(|word| word.to_string_lossy()).collect();
        let expected = ["compose", "--project-name", "anybroker-s", "--file", "/s/containers/compose.yaml"];
        assert_eq!(words[..5], expected);
        assert_eq!(words[5..], ["kill", "kafka"]);
    }

    #[test]
    fn a_dead_container_is_gone() {
        assert_eq!(condition("exited"), Condition::Gone);
        assert_eq!(condition("paused"), Condition::Paused);
        assert_eq!(condition("running"), Condition::Running);
    }
}
