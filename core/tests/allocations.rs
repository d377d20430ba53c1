//! The batch path allocates nothing for each message: counted, so that it stays so.

use std::sync::Arc;

use allocation_counter::measure;
use anybroker_core::kit::{Incoming, Intake, Link, Session};
use anybroker_core::{
    Consumer, Delivery, Group, Message, PublisherOptions, Receipt, RecordBuffer, Result, Settlement, Settler,
    Subscription, Topic, async_trait,
};
use futures::FutureExt;

/// Messages in a batch, and the allocations that a whole batch may cost.
const BATCH: usize = 1_000;
const PER_BATCH: u64 = 15;
/// The bytes that a message may cost: when it is published, two words and its outcome; when it is consumed, a copy of it, the
/// delivery and its settlement.
const PUBLISHED: u64 = 56;
const CONSUMED: u64 = 480;

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

fn messages() -> Vec<Message> {
    (0..BATCH).map(|i| Message::new(vec![0u8; 100]).with_key(format!("key-{}", i % 16))).collect()
}

/// Fails if `work` allocates more than that for a batch.
fn allocates(per_message: u64, work: impl FnOnce()) {
    let info = measure(work);
    let (count, bytes) = (info.count_total, info.bytes_total / BATCH as u64);
    assert!(count <= PER_BATCH, "{count} allocations for {BATCH} messages");
    assert!(bytes <= per_message, "{bytes} bytes allocated for each message");
}

#[test]
fn publishing() {
    let intake = Intake::new(&PublisherOptions::new(Topic::new("t").unwrap()), 1 << 20);
    let mut batch = Some(messages());
    let work = || {
        let permit = intake.ready(BATCH, BATCH * 100).now_or_never().unwrap().unwrap();
        let (pending, confirmations) = intake.accept(permit, batch.take().unwrap());
        pending.into_iter().for_each(|p| p.confirm(Receipt::default()));
        assert_eq!(confirmations.now_or_never().unwrap().len(), BATCH);
    };
    allocates(PUBLISHED, work);
}

#[test]
fn consuming() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _guard = runtime.enter();
    let subscription = Subscription::new(Topic::new("t").unwrap(), Group::new("g").unwrap()).prefetch(BATCH);
    let session = Session::new(subscription, None, None);
    let mut consumer = session.connect(Arc::new(NoLink));
    let generation = session.assign(0);
    let mut buffer = RecordBuffer::new();
    let messages = messages();
    let mut round = || {
        let records = messages.iter().enumerate().map(|(native, message)| {
            let mut writer = buffer.record();
            message.attributes(|attribute, value| writer.attribute(attribute.name(), value.as_bytes()));
            let record = writer.finish_copying(&message.payload);
            Incoming {
                record,
                native: native as u64,
                offset: None,
                stored: 0,
                attempts: 0,
                redelivered: false,
            }
        });
        session.push_all(0, generation, records);
        let batch: Vec<Delivery> = consumer.receive(BATCH).now_or_never().unwrap().unwrap();
        let settlements: Vec<_> = batch.into_iter().map(Settlement::ack).collect();
        let settled = Settler::settle(&*session, settlements).now_or_never().unwrap();
        assert!(settled.len() == BATCH && settled.iter().all(|s| s.is_ok()));
        assert_eq!(session.take_acks(0, false).upto, Some(BATCH as u64 - 1));
    };
    round();
    allocates(CONSUMED, &mut round);
}
