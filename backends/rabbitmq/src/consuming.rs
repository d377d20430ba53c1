//! A consumer and its channel, of which the channel ends first. lapin cancels a consumer that is dropped, in a task of its own;
//! if its channel begins to be closed in that very moment, that fails, and lapin lets the failure end the *connection*, with
//! everything else that is on it (seen once in some hundred declarations of topics on a busy machine, lapin 4.12.3).

use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::runtime::Handle;

/// A channel that is closed in the background, unless it is kept: who is cancelled while he begins to consume must not leave a
/// consumer behind, which the server may have by then, and lapin forgets.
struct Begun(Option<Channel>);

impl Begun {
    fn keep(mut self) -> Option<Channel> {
        self.0.take()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(channel) = self.0.take() {
            close_behind(channel, None);
        }
    }
}

/// Closes a channel, and drops its consumer after that.
fn close_behind(channel: Channel, consumer: Option<Consumer>) {
    // Without a runtime the connection has ended.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            // One that is closed already says so.
            let _ = channel.close(200, "".into()).await;
            drop(consumer);
        });
    }
}

/// Begins to consume from a queue.
///
/// # Cancel safety
/// Cancel safe: the channel is closed.
pub(crate) async fn consume(channel: &Channel, queue: &str) -> lapin::Result<Consumer> {
    let begun = Begun(Some(channel.clone()));
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let consumer = channel.basic_consume(queue.into(), "".into(), options, none).await?;
    begun.keep();
    Ok(consumer)
}

/// A consumer of one queue, on a channel of its own. Dropped, it closes the channel in the background.
#[derive(Debug)]
pub(crate) struct Consuming {
    pub(crate) channel: Channel,
    /// Until it is dropped.
    consumer: Option<Consumer>,
}

impl Consuming {
    /// Begins to consume.
    pub(crate) async fn begin(channel: Channel, queue: &str) -> lapin::Result<Self> {
        let consumer = consume(&channel, queue).await?;
        Ok(Consuming { channel, consumer: Some(consumer) })
    }

    /// The next arrival; none once the channel is closed.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<lapin::Result<Delivery>> {
        match &mut self.consumer {
            Some(consumer) => consumer.next().await,
            None => None,
        }
    }

    /// Closes the channel: what is not acknowledged goes back to the queue.
    pub(crate) async fn close(mut self) -> lapin::Result<()> {
        let closed = self.channel.close(200, "".into()).await;
        self.consumer = None;
        closed
    }
}

impl Drop for Consuming {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            close_behind(self.channel.clone(), Some(consumer));
        }
    }
}
