//! ReceiveMessage of ten, then DeleteMessageBatch of them; several at once.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry as Entry, Message};
use tokio::task::JoinSet;

use super::{BATCH, ID, Queue, REQUESTS};
use crate::Result;
use crate::contender::Consume;
use crate::harness::Handler;
use crate::task::Task;

pub(super) struct Consuming {
    queue: Queue,
    ids: bool,
}

impl Consuming {
    pub(super) async fn open(task: &Task, ids: bool) -> Result<Self> {
        Ok(Consuming { queue: Queue::find(task).await?, ids })
    }
}

/// Takes messages until so many are handled by all together.
async fn receive(
    queue: Queue,
    ids: bool,
    handler: Arc<Handler>,
    handled: Arc<AtomicU64>,
    count: u64,
) -> Result<()> {
    while handled.load(Ordering::Relaxed) < count {
        let request = queue.receive(BATCH);
        let request = if ids { request.message_attribute_names("All") } else { request };
        let messages = request.send().await?.messages.unwrap_or_default();
        for message in &messages {
            if ids {
                black_box(message.message_attributes().and_then(|it| it.get(ID)?.string_value()));
            }
            handler.handle(message.body().unwrap_or_default().as_bytes());
        }
        handled.fetch_add(messages.len() as u64, Ordering::Relaxed);
        delete(&queue, &messages).await?;
    }
    Ok(())
}

async fn delete(queue: &Queue, messages: &[Message]) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let entry = |(at, message): (usize, &Message)| {
        let handle = message.receipt_handle().unwrap_or_default();
        Entry::builder().id(at.to_string()).receipt_handle(handle).build()
    };
    let entries = messages.iter().enumerate().map(entry).collect::<std::result::Result<_, _>>()?;
    let request = queue.client.delete_message_batch().queue_url(&queue.url);
    let answer = request.set_entries(Some(entries)).send().await?;
    match answer.failed().first() {
        None => Ok(()),
        failed => Err(format!("not deleted: {failed:?}").into()),
    }
}

#[async_trait]
impl Consume for Consuming {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        let handled = Arc::new(AtomicU64::new(0));
        let mut receiving = JoinSet::new();
        for _ in 0..REQUESTS {
            receiving.spawn(receive(self.queue.clone(), self.ids, handler.clone(), handled.clone(), count));
        }
        while let Some(ended) = receiving.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
