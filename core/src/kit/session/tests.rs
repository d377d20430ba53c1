//! What every test of the session needs: one with a partition that holds a few messages.

mod dead_letters;
mod ends;
mod handing_out;
mod partitions;
mod refilling;

use super::*;
use crate::consumer::Consumer;
use crate::error::Kind;
use crate::message::{Message, RecordBuffer};

struct NoLink;

#[async_trait]
impl Link for NoLink {
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

fn subscription() -> Subscription {
    Subscription::new(Topic::new("t").unwrap(), Group::new("g").unwrap())
}

fn incoming(native: u64, key: &str) -> Incoming {
    let record = RecordBuffer::new().encode(&Message::new(native.to_string()).with_key(key));
    Incoming { record, native, offset: Some(native), stored: 0, attempts: 0, redelivered: false }
}

/// A session with one partition that holds a message for each key.
fn session(keys: &[&str]) -> (Arc<Session>, Box<SessionConsumer>) {
    let session = Session::new(subscription(), None, None);
    let consumer = Box::new(session.connect(Arc::new(NoLink)));
    fill(&session, keys);
    (session, consumer)
}

fn fill(session: &Session, keys: &[&str]) {
    let generation = session.assign(0);
    session.push_all(0, generation, keys.iter().enumerate().map(|(at, key)| incoming(at as u64, key)));
}

fn payloads(batch: &[Delivery]) -> Vec<&[u8]> {
    batch.iter().map(|d| &d.payload()[..]).collect()
}
