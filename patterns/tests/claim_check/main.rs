//! The claim check: over files, memory and S3 as stores, and over the in-memory and the SQLite broker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod collecting;
mod damage;
mod order;
mod round_trip;
mod s3;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anybroker_core::{Broker, ConsumerExt as _, Delivery, Group, Message, PublisherOptions, SharedPublisher};
use anybroker_core::{Subscription, Topic};
use anybroker_patterns::claim_check::{ClaimCheck, object_store::memory::InMemory};
use tempfile::TempDir;

const THRESHOLD: usize = 1_000;

fn in_memory() -> ClaimCheck {
    ClaimCheck::new(Arc::new(InMemory::new())).threshold(THRESHOLD)
}

fn in_files() -> (ClaimCheck, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (ClaimCheck::files(directory.path()).unwrap().threshold(THRESHOLD), directory)
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// A payload that is no other's.
fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 % 251) as u8).collect()
}

async fn memory() -> Broker {
    let name = format!("memory://claims-{}", anybroker_core::MessageId::new());
    anybroker_memory::connect(&name.parse().unwrap()).await.unwrap()
}

fn topic() -> Topic {
    Topic::new("scans").unwrap()
}

async fn publisher(broker: &Broker) -> SharedPublisher {
    broker.publisher(PublisherOptions::new(topic())).await.unwrap()
}

/// The first message that the topic has.
async fn first(broker: &Broker) -> Delivery {
    let subscription = Subscription::new(topic(), Group::new("archive").unwrap());
    broker.consumer(subscription).await.unwrap().next().await.unwrap()
}

/// What a receiver gets of `message`.
async fn received(message: Message) -> Delivery {
    let broker = memory().await;
    let _ = anybroker_core::PublisherExt::publish(&*publisher(&broker).await, message).await.unwrap();
    first(&broker).await
}
