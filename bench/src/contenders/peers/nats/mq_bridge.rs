//! `mq-bridge`: a publisher for each partition's subject.

use mq_bridge::endpoints::nats::NatsPublisher;
use mq_bridge::models::NatsConfig;

use crate::Result;
use crate::contenders::nats::subjects;
use crate::contenders::peers::batches::Batches;
use crate::contenders::peers::plain;
use crate::task::Task;

pub(super) async fn publishing(task: &Task) -> Result<Batches<NatsPublisher>> {
    let mut publishers = Vec::new();
    for subject in subjects(task) {
        let config = NatsConfig {
            url: plain(task),
            subject: Some(subject.to_string()),
            stream: Some(task.topic.clone()),
            ..Default::default()
        };
        publishers.push(NatsPublisher::new(&config).await?);
    }
    Ok(Batches::new(publishers))
}
