//! `mq-bridge`: a publisher for each partition, by one of its slots.

use mq_bridge::endpoints::amqp::AmqpPublisher;
use mq_bridge::models::AmqpConfig;

use crate::Result;
use crate::contenders::peers::batches::Batches;
use crate::contenders::peers::plain;
use crate::task::Task;

pub(super) async fn publishing(task: &Task) -> Result<Batches<AmqpPublisher>> {
    let mut publishers = Vec::new();
    for slot in 0..task.partitions.max(1) {
        let config = AmqpConfig {
            url: plain(task),
            exchange: Some(task.topic.clone()),
            // What it calls the queue is the routing key.
            queue: Some(slot.to_string()),
            no_declare_queue: true,
            ..Default::default()
        };
        publishers.push(AmqpPublisher::new(&config).await?);
    }
    Ok(Batches::new(publishers))
}
