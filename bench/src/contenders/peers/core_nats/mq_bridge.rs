//! `mq-bridge`: one publisher.

use mq_bridge::endpoints::nats::NatsPublisher;
use mq_bridge::models::NatsConfig;

use super::server;
use crate::Result;
use crate::contenders::peers::batches::Batches;
use crate::task::Task;

pub(super) async fn publishing(task: &Task) -> Result<Batches<NatsPublisher>> {
    let subject = Some(task.topic.clone());
    let config = NatsConfig { url: server(task), subject, no_jetstream: true, ..Default::default() };
    Ok(Batches::new(vec![NatsPublisher::new(&config).await?]))
}
