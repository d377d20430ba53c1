//! One round of one contender, in a process of its own.

use std::sync::Arc;

use anybroker::{Broker, Message, PublisherExt, PublisherOptions, Subscription, Topology};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::broker_cpu::BrokerCpu;
use super::figures::Figures;
use super::handler::Handler;
use super::latency;
use super::proof;
use super::several::{self, AT_ONCE};
use super::usage::Mark;
use crate::Result;
use crate::contender::{Contender, Kind};
use crate::contenders::field;
use crate::task::{Operation, Task};

/// Messages of a portion of [`Operation::Through`].
const PORTION: u64 = 1_000;

/// The name of no contender: fills the topic.
pub(super) const FILL: &str = "fill";
/// The name of no contender: deletes the topic.
pub(super) const DELETE: &str = "delete";

/// Does what the task says. `None`: there was nothing to measure.
///
/// # Errors
/// Whatever failed.
pub async fn run(task: Task) -> Result<Option<Figures>> {
    match task.contender.as_str() {
        FILL => {
            declare(&task).await?;
            fill(&task).await.map(|()| None)
        }
        DELETE => delete(&task).await.map(|()| None),
        name => {
            let all = field(&task.url)?.contenders;
            let contender = all.into_iter().find(|it| it.name == name).ok_or("no such contender")?;
            measure(Arc::new(task), contender).await.map(Some)
        }
    }
}

async fn measure(task: Arc<Task>, contender: Contender) -> Result<Figures> {
    // An embedded broker lives as long as somebody has it.
    let _kept = anybroker::connect(&task.url).await?;
    // A group of ours is there before its consumer is opened; those written by hand make their own.
    if task.own_topic || contender.kind == Kind::Ours {
        declare(&task).await?;
    }
    let broker = BrokerCpu::of(&task.url);
    let figures = match task.operation {
        Operation::Publish => publish(&task, contender, &broker).await,
        Operation::Consume => consume(&task, contender, &broker).await,
        Operation::Through => through(&task, contender, &broker).await,
        Operation::Latency => latency::measure(&task, contender, &broker).await,
    };
    if task.own_topic {
        delete(&task).await?;
    }
    figures
}

async fn publish(task: &Arc<Task>, contender: Contender, broker: &BrokerCpu) -> Result<Figures> {
    let open = contender.publish.ok_or("it does not publish")?;
    let load = task.load();
    let mut publishing = several::publisher(open, task).await?;
    publishing.publish(&load, task.warm_up).await?;
    let mark = Mark::now(broker);
    publishing.publish(&load, task.messages).await?;
    let figures = mark.figures(task.messages, broker);
    if contender.kind == Kind::Peer && field(&task.url)?.stores {
        proof::published(task, task.warm_up + task.messages).await?;
    }
    Ok(figures)
}

async fn consume(task: &Arc<Task>, contender: Contender, broker: &BrokerCpu) -> Result<Figures> {
    let open = contender.consume.ok_or("it does not consume")?;
    if task.own_topic {
        fill(task).await?;
    }
    let handler = Arc::new(Handler::counting());
    let mut consuming = several::consumer(open, task).await?;
    consuming.consume(task.warm_up, &handler).await?;
    let mark = Mark::now(broker);
    consuming.consume(task.messages, &handler).await?;
    let figures = mark.figures(task.messages, broker);
    let handled = handler.count();
    if handled < task.warm_up + task.messages {
        return Err(format!("{handled} messages were handled").into());
    }
    consuming.close().await?;
    if contender.kind == Kind::Peer {
        // It may have gone on until it was closed.
        proof::acknowledged(task, filled(task)?.saturating_sub(handler.count())).await?;
    }
    Ok(figures)
}

async fn through(task: &Arc<Task>, contender: Contender, broker: &BrokerCpu) -> Result<Figures> {
    let (publish, consume) = contender.publish.zip(contender.consume).ok_or("it does not do both")?;
    let (load, handler) = (task.load(), Arc::new(Handler::counting()));
    let mut publishing = several::publisher(publish, task).await?;
    publishing.publish(&load, task.backlog).await?;
    let mut consuming = several::consumer(consume, task).await?;
    let mut pass = async |messages: u64| -> Result<()> {
        let mut done = 0;
        while done < messages {
            let portion = PORTION.min(messages - done);
            publishing.publish(&load, portion).await?;
            consuming.consume(portion, &handler).await?;
            done += portion;
        }
        Ok(())
    };
    pass(task.warm_up).await?;
    let mark = Mark::now(broker);
    pass(task.messages).await?;
    let figures = mark.figures(task.messages, broker);
    consuming.close().await?;
    Ok(figures)
}

async fn declare(task: &Task) -> Result<()> {
    each(task, |broker, task| async move {
        let mut topology = Topology::new(task.topic()?).group(task.group()?);
        if field(&task.url)?.partitioned {
            topology = topology.partitions(task.partitions);
        }
        Ok(broker.admin().declare(&topology).await?)
    })
    .await
}

/// Fills the topic with what is consumed: the same for all, with the ids that anybroker gives to messages.
async fn fill(task: &Task) -> Result<()> {
    each(task, |broker, task| async move {
        let publisher = broker.publisher(PublisherOptions::new(task.topic()?)).await?;
        let load = task.load();
        let messages = (0..filled(&task)?).map(|number| Message::from(load.item(number)));
        publisher.publish_all(stream::iter(messages)).await?;
        publisher.close().await?;
        Ok(())
    })
    .await
}

/// The messages of a filled topic: somewhat more than are consumed.
fn filled(task: &Task) -> Result<u64> {
    let spare = Subscription::new(task.topic()?, task.group()?).prefetch as u64;
    Ok(task.warm_up + task.messages + spare)
}

async fn delete(task: &Task) -> Result<()> {
    each(task, |broker, task| async move { Ok(broker.admin().delete(&task.topic()?).await?) }).await
}

/// Does it for each of the task's topics, over one connection.
async fn each<F: Future<Output = Result<()>>>(task: &Task, act: impl Fn(Broker, Task) -> F) -> Result<()> {
    let broker = anybroker::connect(&task.url).await?;
    let all = stream::iter(task.each()).map(|task| act(broker.clone(), task));
    all.buffer_unordered(AT_ONCE).try_collect().await
}
