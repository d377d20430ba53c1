//! A broker in a container, driven through an engine that only writes down what it is told.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::*;
use crate::brokers::{
    Options, ProcessId, catalogue::fake::Fake, container::ContainerEngine, native::tests::site,
    ports::PortUse, site::Reporter,
};

/// Keeps the container's state in a file, and answers as docker and podman do.
const ENGINE: &str = r#"#!/bin/sh
here=${0%/*}
echo "$ANYBROKER_KAFKA_CLIENT $*" >>"$here/calls"
case "$*" in
  inspect*) cat "$here/state" ;;
  *" ps "*) [ -e "$here/state" ] && echo some-id; true ;;
  *" up "*|*" unpause "*) echo running >"$here/state" ;;
  *" pause "*) echo paused >"$here/state" ;;
  *" stop "*|*" kill "*) echo exited >"$here/state" ;;
  *" rm "*) rm "$here/state" ;;
esac
"#;

#[tokio::test]
async fn a_container_is_started_paused_killed_and_removed_through_compose() {
    let (site, folder) = site("kafka");
    let site = Site { folder: folder.path().join("kafka"), ..site };
    let program = engine(&site.folder);
    let engine = EngineCell::found(ContainerEngine::named(program.display().to_string().leak()));
    let one = One { broker: &Fake(Ok(())), site, engine: &engine };

    let up = one.up().await.unwrap();
    assert_eq!((up.state, up.mode, up.pid), (State::Ready, Some(Mode::Container), None));
    assert_eq!((up.version.as_deref(), up.url.as_deref()), (Some("1.2.3"), Some("kafka://127.0.0.1:9092")));
    assert_eq!(one.up().await.unwrap(), up);
    one.pause().await.unwrap();
    assert_eq!(one.status().await.unwrap().state, State::Paused);
    one.resume().await.unwrap();
    one.kill().await.unwrap();
    assert_eq!(one.status().await.unwrap().state, State::Down);
    one.up().await.unwrap();
    assert_eq!(one.reset().await.unwrap().state, State::Down);

    let calls = fs::read_to_string(program.with_file_name("calls")).unwrap();
    let changes: Vec<&str> =
        calls.lines().filter(|call| !call.contains(" ps ") && !call.contains(" inspect ")).collect();
    let words: Vec<&str> = changes.iter().filter_map(|call| call.split("compose.yaml ").nth(1)).collect();
    let expected = [
        "up --detach kafka",
        "pause kafka",
        "unpause kafka",
        "kill kafka",
        "up --detach kafka",
        "unpause kafka",
    ];
    assert_eq!(words[..6], expected);
    assert_eq!(words[6..], ["stop kafka", "rm --stop --force --volumes kafka"]);
    assert!(changes[0].starts_with("9092 compose --project-name anybroker-"), "{}", changes[0]);
}

/// Written by another process: a file that this one has open for writing cannot be run.
fn engine(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join("engine");
    let written =
        Command::new("sh").args(["-c", "printf %s \"$1\" >\"$2\"", "sh", ENGINE]).arg(&path).status();
    assert!(written.unwrap().success());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Answers from its third start on; listens on these ports.
struct StuckTwice(PathBuf, &'static [PortUse]);

#[async_trait]
impl LocalBroker for StuckTwice {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn ports(&self) -> &'static [PortUse] {
        self.1
    }

    fn url(&self, _ports: &Ports) -> String {
        String::new()
    }

    fn image_version(&self) -> &'static str {
        ""
    }

    fn native_version(&self, _cache: &Path) -> Option<String> {
        None
    }

    async fn fetch(&self, _site: &Site) -> Result<(), Error> {
        Ok(())
    }

    async fn prepare(&self, _site: &Site, _ports: &Ports) -> Result<Command, Error> {
        let mut command = Command::new("sh");
        let script = "echo >>$0/began; test $(wc -l <$0/began) = 3 && touch $0/answers; exec sleep 60";
        command.args(["-c", script]).arg(&self.0);
        Ok(command)
    }

    async fn probe(&self, _ports: &Ports) -> Result<(), String> {
        self.0.join("answers").exists().then_some(()).ok_or("deaf".into())
    }
}

#[tokio::test]
async fn a_broker_that_is_stuck_is_started_again() {
    let (site, folder) = site("kafka");
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let reporter: Reporter = Arc::new(move |progress| heard.lock().unwrap().push(progress.step.clone()));
    let ready_within = Duration::from_secs(3);
    let options = Options { engine: Engine::Native, ready_within, ..(*site.options).clone() };
    let site = Site { options: Arc::new(options), reporter, ..site };
    let broker = Box::leak(Box::new(StuckTwice(folder.path().to_owned(), &[])));
    let one = One { broker, site, engine: &EngineCell::default() };
    assert_eq!(one.up().await.unwrap().state, State::Ready);
    assert_eq!(told.lock().unwrap().iter().filter(|step| **step == Step::Stuck).count(), 2);
    one.down().await.unwrap();
}

/// Clients have its URL: on other ports it would be there for nobody.
#[tokio::test]
async fn a_broker_comes_back_on_its_ports_or_not_at_all() {
    let (site, folder) = site("kafka");
    let options = Options { engine: Engine::Native, ports: PortChoice::Same, ..(*site.options).clone() };
    let site = Site { options: Arc::new(options), ..site };
    let another = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = another.local_addr().unwrap().port();
    let ports = Ports::from([("client", port)]);
    let ended = Some(ProcessId { pid: std::process::id(), start_time: 0 });
    Record { mode: Mode::Native, ports, process: ended }.save(&site.folder).unwrap();
    let uses = const { &[PortUse::listening("client", 9092)] };
    let broker = Box::leak(Box::new(StuckTwice(folder.path().to_owned(), uses)));
    let one = One { broker, site, engine: &EngineCell::default() };
    let taken = one.up().await.unwrap_err();
    assert!(matches!(taken, Error::PortTaken { port: held, .. } if held == port), "{taken}");
}
