//! A broker in a new file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anybroker_core::{
    Broker, BrokerUrl, Consumer, Delivery, Group, Message, Publisher, PublisherOptions, Result, Subscription,
    Topic,
};

pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("broker.db")
    }

    pub(crate) fn url(&self, parameters: &str) -> String {
        format!("sqlite://{}?{parameters}", self.path().display())
    }

    pub(crate) async fn open(&self, parameters: &str) -> Broker {
        open(&self.url(parameters)).await.unwrap()
    }
}

pub(crate) async fn open(url: &str) -> Result<Broker> {
    anybroker_sqlite::connect(&url.parse::<BrokerUrl>()?).await
}

pub(crate) fn topic() -> Topic {
    Topic::new("orders").unwrap()
}

pub(crate) fn subscription() -> Subscription {
    Subscription::new(topic(), Group::new("billing").unwrap())
}

pub(crate) async fn publisher(broker: &Broker) -> std::sync::Arc<dyn Publisher> {
    broker.publisher(PublisherOptions::new(topic())).await.unwrap()
}

/// Messages `from..upto` of one key.
pub(crate) fn messages(from: usize, upto: usize) -> Vec<Message> {
    (from..upto).map(|at| Message::new(format!("{at}")).with_id(format!("m{at}")).with_key("k")).collect()
}

/// Receives this many.
pub(crate) async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch =
            tokio::time::timeout(Duration::from_secs(30), consumer.receive(count - taken.len())).await;
        taken.extend(batch.expect("nothing within 30 s").unwrap());
    }
    taken
}

pub(crate) fn id(delivery: &Delivery) -> String {
    delivery.id().unwrap().to_string()
}

/// What SQLite itself says of the file.
pub(crate) fn integrity(path: &Path) -> String {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}
