//! Real brokers are started on free ports, paused, killed and taken down, and keep their data.
//!
//! A broker that cannot be had fails its test. `ANYBROKER_TEST_EXCLUDE=kafka,rabbitmq4` excludes by name, and the
//! test says that it did not run.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod durable;

use std::{
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use anybroker_conformance::brokers::{Brokers, Engine, Error, Options, PortChoice, State, Status};
use durable::{Durable, PulsarTopic, Queue, SqsQueue, Stream, Topic};

const KEPT_WITHIN: Duration = Duration::from_secs(30);

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
    let started = Instant::now();
    while !durable.exists(broker).unwrap_or(false) {
        check(started.elapsed() < KEPT_WITHIN, "the data is there")?;
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
