//! Real brokers are started on free ports, paused, killed and taken down, and keep their data.
//!
//! A broker that cannot be had fails its test. `ANYBROKER_TEST_EXCLUDE=kafka,rabbitmq4` excludes by name, and the
//! test says that it did not run.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod durable;

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anybroker_conformance::brokers::{Brokers, Engine, Error, Options, PortChoice, State, Status, Step};
use durable::{Durable, PulsarTopic, Queue, SqsQueue, Stream, Table, Topic};

const HOLDS_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn kafka_survives_what_tests_do_to_it() {
    survives("kafka", &Topic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_survives_what_tests_do_to_it() {
    survives("rabbitmq", &Queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq4_survives_what_tests_do_to_it() {
    survives("rabbitmq4", &Queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_survives_what_tests_do_to_it() {
    survives("nats", &Stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticmq_survives_what_tests_do_to_it_and_forgets() {
    survives("elasticmq", &SqsQueue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pulsar_survives_what_tests_do_to_it() {
    survives("pulsar", &PulsarTopic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_survives_what_tests_do_to_it() {
    survives("postgres", &Table).await;
}

/// Each session of PostgreSQL has a process of its own, which hides where it comes from; and a session that goes on must
/// not hold up the end.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_paused_killed_and_stopped_with_its_sessions() {
    if excluded("postgres") {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sessions-of-postgres");
    let options = Options { engine: Engine::Native, ports: PortChoice::Free, ..Options::default() };
    let killed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&killed);
    let brokers = Brokers::open(folder, options).unwrap().on_progress(move |progress| {
        seen.fetch_or(progress.step == Step::Killing, Ordering::Relaxed);
    });
    let outcome = sessions(&brokers).await;
    brokers.reset(&["postgres"]).await.unwrap();
    outcome.unwrap();
    assert!(!killed.load(Ordering::Relaxed), "it did not stop by itself");
}

async fn sessions(brokers: &Brokers) -> Result<(), Box<dyn std::error::Error>> {
    let first = up(brokers, "postgres").await?;
    let _session = Session::open(&first)?;
    let members = family(first.pid.unwrap_or_default());
    check(members.len() > 2, "there are processes besides the first")?;
    brokers.pause("postgres").await?;
    let suspended = |pid: &u32| state_of(*pid).is_none_or(|state| matches!(state, 'T' | 'Z'));
    until("all of them are suspended", || members.iter().all(suspended)).await?;
    brokers.kill("postgres").await?;
    check(members.iter().all(|pid| matches!(state_of(*pid), None | Some('Z'))), "all of them are gone")?;

    let second = up(brokers, "postgres").await?;
    let _session = Session::open(&second)?;
    brokers.down(&["postgres"]).await?;
    Ok(())
}

/// A client that stays.
struct Session(Child);

impl Session {
    fn open(server: &Status) -> std::io::Result<Self> {
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .arg(server.url.as_deref().unwrap_or_default());
        let mut client = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        if let Some(input) = &mut client.stdin {
            input.write_all(b"select 1;\n")?;
        }
        let mut answer = [0; 2];
        let read = client.stdout.as_mut().map_or(Ok(()), |output| output.read_exact(&mut answer));
        let session = Self(client);
        read.map(|()| session)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process and its children.
fn family(main: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap_or_default();
    children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).chain([main]).collect()
}

/// The letter that Linux has for what a process is at.
fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    if excluded("kafka") {
        return;
    }
    let taken = TcpListener::bind(("127.0.0.1", 9092));
    let folder = tempfile::tempdir().unwrap();
    let options = Options { engine: Engine::Native, ..Options::default() };
    let brokers = Brokers::open(folder.path(), options).unwrap();
    let error = brokers.up(&["kafka"]).await.unwrap_err();
    drop(taken);
    assert!(matches!(error, Error::PortTaken { port: 9092, .. }), "{error}");
    assert!(error.to_string().contains("port 9092 (client) is taken by "), "{error}");
}

#[tokio::test]
async fn a_broker_that_dies_while_starting_shows_its_log() {
    if excluded("kafka") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("kafka/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("meta.properties"), "version=1\nnode.id=77\ncluster.id=another\n").unwrap();
    let options = Options { engine: Engine::Native, ports: PortChoice::Free, ..Options::default() };
    let brokers = Brokers::open(folder.path(), options).unwrap();
    let started = Instant::now();
    let error = brokers.up(&["kafka"]).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(60), "it waited for the dead");
    let Error::Died { tail, .. } = &error else { panic!("{error}") };
    assert!(tail.contains("77"), "{error}");
}

async fn survives(name: &'static str, durable: &dyn Durable) {
    if excluded(name) {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("brokers-{name}"));
    let options = Options { ports: PortChoice::Free, ..Options::default() };
    let brokers = Brokers::open(folder, options).unwrap().on_progress(|progress| println!("{progress}"));
    brokers.reset(&[name]).await.unwrap();
    let outcome = life(&brokers, name, durable).await;
    let down = brokers.reset(&[name]).await.unwrap().remove(0);
    outcome.unwrap();
    assert_eq!((down.state, down.pid, down.url), (State::Down, None, None));
}

/// Returns errors rather than panicking, so that the broker is taken down in any case.
async fn life(
    brokers: &Brokers,
    name: &str,
    durable: &dyn Durable,
) -> Result<(), Box<dyn std::error::Error>> {
    let first = up(brokers, name).await?;
    check(up(brokers, name).await? == first, "a second `up` changes nothing")?;
    check(!durable.exists(&first)?, "the data is new")?;
    durable.create(&first)?;
    kept(durable, &first).await?;

    brokers.pause(name).await?;
    check(state(brokers, name).await? == State::Paused, "a paused broker says so")?;
    check(durable.exists(&first).is_err(), "a paused broker does not answer")?;
    brokers.resume(name).await?;
    check(up(brokers, name).await?.pid == first.pid, "a resumed broker is the same")?;

    brokers.kill(name).await?;
    check(state(brokers, name).await? == State::Down, "a killed broker is down")?;
    check(matches!(brokers.kill(name).await, Err(Error::NotRunning { .. })), "it cannot be killed twice")?;
    let second = up(brokers, name).await?;
    check(second.url == first.url, "it comes back where clients look for it")?;
    after_a_stop(durable, &second).await?;

    let third = brokers.restart(name).await?;
    check(third.url == first.url, "it restarts where clients look for it")?;
    after_a_stop(durable, &third).await?;
    brokers.down(&[name]).await?;
    brokers.down(&[name]).await?;
    check(state(brokers, name).await? == State::Down, "`down` twice is down")?;
    Ok(())
}

async fn up(brokers: &Brokers, name: &str) -> Result<Status, Error> {
    Ok(brokers.up(&[name]).await?.remove(0))
}

async fn state(brokers: &Brokers, name: &str) -> Result<State, Error> {
    Ok(brokers.status(&[name]).await?.remove(0).state)
}

/// Everything is there again; or nothing, where the broker keeps all in memory.
async fn after_a_stop(durable: &dyn Durable, broker: &Status) -> Result<(), Box<dyn std::error::Error>> {
    if durable.outlives_the_process() {
        return Ok(kept(durable, broker).await?);
    }
    Ok(check(!durable.exists(broker)?, "what was in memory is gone")?)
}

async fn kept(durable: &dyn Durable, broker: &Status) -> Result<(), String> {
    until("the data is there", || durable.exists(broker).unwrap_or(false)).await
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let started = Instant::now();
    while !holds() {
        check(started.elapsed() < HOLDS_WITHIN, what)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn excluded(name: &str) -> bool {
    let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    let excluded = names.split(',').any(|other| other.trim() == name);
    if excluded {
        println!("NOT RUN: {name} is excluded by ANYBROKER_TEST_EXCLUDE");
    }
    excluded
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("does not hold: {what}")) }
}
