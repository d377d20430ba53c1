//! The queue of a topic, and the client that reaches it.

use anybroker::BrokerUrl;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::receive_message::builders::ReceiveMessageFluentBuilder;

use crate::Result;
use crate::task::{Item, Task};

#[derive(Clone)]
pub(super) struct Queue {
    pub(super) client: Client,
    pub(super) url: String,
}

/// How long a request for messages waits at the server, in seconds: less than what a request of this client may take.
const WAIT: i32 = 1;

impl Queue {
    /// Credentials and the endpoint are found as anybroker finds them.
    pub(super) async fn find(task: &Task) -> Result<Self> {
        let broker = anybroker::connect(&task.url).await?;
        let client: Option<&Client> = broker.native().and_then(|native| native.downcast_ref());
        let client = client.ok_or("the handle has no SQS client")?.clone();
        let found = client.get_queue_url().queue_name(name(task)?).send().await?;
        Ok(Queue { client, url: found.queue_url.ok_or("the queue has no URL")? })
    }

    /// Asks for so many messages.
    pub(super) fn receive(&self, most: usize) -> ReceiveMessageFluentBuilder {
        let request = self.client.receive_message().queue_url(&self.url);
        request.max_number_of_messages(most as i32).wait_time_seconds(WAIT)
    }
}

/// The name of the topic's queue.
pub(in crate::contenders) fn name(task: &Task) -> Result<String> {
    let url: BrokerUrl = task.url.parse()?;
    Ok(format!("{}{}.fifo", url.parameters().text("prefix").unwrap_or_default(), task.topic))
}

/// The key as the name of a group.
pub(super) fn group(item: &Item) -> String {
    String::from_utf8_lossy(&item.key).into_owned()
}

/// The payload as the body of a message: it is text.
pub(super) fn body(item: &Item) -> String {
    String::from_utf8_lossy(&item.payload).into_owned()
}
