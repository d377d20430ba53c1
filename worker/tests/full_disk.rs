//! A disk that is full when a dead letter is to be kept: `cargo test -p anybroker-worker --test full_disk -- --ignored`, as
//! root, since it mounts a file system of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anybroker_core::{
    DeadLetterPolicy, Delivery, Group, Message, PublisherExt, PublisherOptions, Subscription, Topic, Topology,
};
use anybroker_worker::{Failure, HandlerError, Happening, Observer, Worker};
use tokio::sync::Notify;

struct Mounted<'a>(&'a Path);

impl Mounted<'_> {
    fn new(path: &Path) -> Mounted<'_> {
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(path).status().unwrap();
        assert!(mount.success(), "this test mounts a file system, which takes root");
        Mounted(path)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// Waits for dead letters that are refused.
#[derive(Default)]
struct Refused(Notify);

impl Observer for Refused {
    fn observe(&self, _: &Topic, _: &Group, happening: &Happening<'_>) {
        if let Happening::DeadLetterRefused(error) = happening {
            eprintln!("refused: {error}");
            self.0.notify_one();
        }
    }
}

#[tokio::test]
#[ignore = "mounts a file system, which takes root"]
async fn a_dead_letter_waits_until_there_is_room_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let _mounted = Mounted::new(folder.path());
    let url = format!("sqlite://{}/broker.db?topology=create", folder.path().display());
    let broker = anybroker_sqlite::connect(&url.parse().unwrap()).await.unwrap();
    let (topic, dead, group) =
        (Topic::new("orders").unwrap(), Topic::new("dead").unwrap(), Group::new("billing").unwrap());
    for topic in [&topic, &dead] {
        broker.admin().declare(&Topology::new(topic.clone()).group(group.clone())).await.unwrap();
    }
    let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
    publisher.publish(Message::new(vec![7; 200_000]).with_key("k")).await.unwrap();

    let refused = Arc::new(Refused::default());
    let filler = folder.path().join("filler");
    let full = filler.clone();
    let handler = tower::service_fn(move |_: Delivery| {
        // What is left of the disk is taken by something else.
        assert!(std::fs::write(&full, vec![0; 8 << 20]).is_err(), "the disk is not full");
        async { Err::<(), _>(HandlerError(Failure::permanent("no such order"))) }
    });
    let subscription = Subscription::new(topic.clone(), group.clone())
        .dead_letter(DeadLetterPolicy { topic: dead.clone(), max_attempts: None });
    let worker = Worker::builder(broker.clone()).observe(refused.clone()).subscribe(subscription, handler);
    let admin = broker.clone();
    let room = async {
        refused.0.notified().await;
        assert_eq!(admin.admin().backlog(&topic, &group).await.unwrap(), 1, "it is not settled");
        std::fs::remove_file(&filler).unwrap();
        while admin.admin().backlog(&topic, &group).await.unwrap() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(admin.admin().backlog(&dead, &group).await.unwrap(), 1);
    };
    worker.build().unwrap().run_until(room).await.unwrap();
}
