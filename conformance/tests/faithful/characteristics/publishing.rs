//! What is accepted, and what is said of it.

use anybroker::{
    Message, PublisherExt as _, PublisherOptions, Result, Subscription, Topic, TransactionOptions,
    TransactionalId,
};

use crate::scene::{Scene, list, message, outcome, refused};

pub(super) async fn missing_topic(scene: &Scene) -> Result<String> {
    let missing = Topic::new(format!("{}-missing", scene.topic))?;
    let publisher = scene.broker.publisher(PublisherOptions::new(missing.clone())).await;
    let consumer = scene.broker.consumer(Subscription::new(missing, scene.group.clone())).await;
    let [publisher, consumer] =
        [publisher.err(), consumer.err()].map(|error| error.as_ref().map_or("it opens".to_owned(), refused));
    Ok(if publisher == consumer { publisher } else { format!("{publisher}; {consumer}") })
}

pub(super) async fn too_large(scene: &Scene) -> Result<String> {
    let _member = scene.join().await?;
    let guarantees = scene.broker.guarantees(Some(&scene.topic), Some(&scene.group)).await?;
    let Some(limit) = guarantees.limits.message_bytes else { return Ok("there is no limit".into()) };
    let publisher = scene.publisher().await?;
    let large = publisher.publish(Message::new(vec![0; limit + 1]).with_key("a")).await;
    let large = large.map_or_else(
        |error| format!("{}, {:?}", refused(error.error()), error.error().fate()),
        |_| "confirmed".to_owned(),
    );
    let same = outcome(&publisher.publish(message("a2", "a")).await);
    let other = outcome(&publisher.publish(message("b1", "b")).await);
    Ok(format!("{large}; of its key {same}, of another {other}"))
}

pub(super) async fn positions(scene: &Scene) -> Result<String> {
    let mut member = scene.join().await?;
    let receipt = scene.publisher().await?.publish(message("a1", "a")).await?;
    let Some(delivery) = scene.next(&mut member).await? else { return Ok("nothing".into()) };
    Ok(match (receipt.position, delivery.position()) {
        (Some(one), Some(other)) if one == other => "both, the same".to_owned(),
        (Some(_), Some(_)) => "both, another".to_owned(),
        (Some(_), None) => "only receipts".to_owned(),
        (None, Some(_)) => "only deliveries".to_owned(),
        (None, None) => "no".to_owned(),
    })
}

pub(super) async fn transactions(scene: &Scene) -> Result<String> {
    let options = TransactionOptions::new(TransactionalId::new(scene.topic.as_str())?);
    let mut publisher = match scene.broker.transactional_publisher(options).await {
        Ok(publisher) => publisher,
        Err(error) => return Ok(refused(&error)),
    };
    let mut member = scene.join().await?;
    let aborted = publisher.begin().await?;
    aborted.publish(&scene.topic, vec![message("aborted", "a")]).await?;
    aborted.abort().await?;
    let committed = publisher.begin().await?;
    committed.publish(&scene.topic, vec![message("committed", "a")]).await?;
    committed.commit().await?;
    publisher.close().await?;
    Ok(format!("yes; {} comes", list(&scene.take_and_ack(&mut member, 2).await?)))
}

pub(super) async fn lists_topics(scene: &Scene) -> Result<String> {
    match scene.broker.admin().topics().await {
        Ok(all) if all.iter().any(|info| info.topic == scene.topic.as_str()) => Ok("yes".into()),
        Ok(_) => Ok("without this one".into()),
        Err(error) => Ok(refused(&error)),
    }
}
