//! SendMessageBatch.

use std::sync::atomic::{AtomicU64, Ordering};

use anybroker::MessageId;
use async_trait::async_trait;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry as Entry};

use super::lanes::{Lanes, Sending};
use super::queue::{Queue, body, group};
use super::{BATCH, ID, REQUESTS};
use crate::Result;
use crate::task::{Item, Task};

pub(super) async fn publishing(task: &Task, ids: bool) -> Result<Lanes> {
    let batches = Batches { queue: Queue::find(task).await?, ids, sent: AtomicU64::new(0) };
    Ok(Lanes::new(batches, REQUESTS, BATCH))
}

struct Batches {
    queue: Queue,
    /// Whether messages say an id, as ours do.
    ids: bool,
    sent: AtomicU64,
}

impl Batches {
    fn entry(&self, at: usize, item: &Item) -> Result<Entry> {
        let entry =
            Entry::builder().id(at.to_string()).message_body(body(item)).message_group_id(group(item));
        if !self.ids {
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            return Ok(entry.message_deduplication_id(number.to_string()).build()?);
        }
        let id = MessageId::new().to_string();
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(&id).build()?;
        Ok(entry.message_attributes(ID, attribute).message_deduplication_id(id).build()?)
    }
}

#[async_trait]
impl Sending for Batches {
    async fn send(&self, items: Vec<Item>) -> Result<()> {
        let entries =
            items.iter().enumerate().map(|(at, item)| self.entry(at, item)).collect::<Result<_>>()?;
        let request = self.queue.client.send_message_batch().queue_url(&self.queue.url);
        let answer = request.set_entries(Some(entries)).send().await?;
        match answer.failed().first() {
            None if answer.successful().len() == items.len() => Ok(()),
            failed => Err(format!("not stored: {failed:?}").into()),
        }
    }
}
