//! Who gets a message.

use anybroker::{Group, PublisherExt as _, Result, Start, Subscription};

use crate::scene::{Scene, list, message, refused};

pub(super) async fn without_a_group(scene: &Scene) -> Result<String> {
    let published = scene.publisher().await?.publish(message("m1", "a")).await;
    if let Err(error) = published {
        return Ok(format!("{}, {:?}", refused(error.error()), error.error().fate()));
    }
    let mut late = scene.join().await?;
    let came = scene.take_and_ack(&mut late, 1).await?;
    Ok(if came.is_empty() { "it is dropped" } else { "it is kept for the group that comes" }.into())
}

pub(super) async fn second_group(scene: &Scene) -> Result<String> {
    let mut first = scene.join().await?;
    let second = Group::new("late")?;
    if let Err(error) = scene.declare(&second).await {
        return Ok(refused(&error));
    }
    let mut second = scene.broker.consumer(Subscription::new(scene.topic.clone(), second)).await?;
    scene.publish(&[("m1", "a")]).await?;
    let each = [scene.take_and_ack(&mut first, 1).await?, scene.take_and_ack(&mut second, 1).await?];
    Ok(if each.iter().all(|came| came == &["m1"]) { "yes" } else { "no" }.into())
}

pub(super) async fn late_group(scene: &Scene) -> Result<String> {
    scene.declare(&scene.group).await?;
    scene.publish(&[("m1", "a")]).await?;
    let late = Group::new("late")?;
    if let Err(error) = scene.declare(&late).await {
        return Ok(refused(&error));
    }
    let mut late = scene.broker.consumer(Subscription::new(scene.topic.clone(), late)).await?;
    scene.publish(&[("m2", "a")]).await?;
    Ok(list(&scene.take_and_ack(&mut late, 2).await?))
}

pub(super) async fn from_the_earliest(scene: &Scene) -> Result<String> {
    scene.declare(&scene.group).await?;
    scene.publish(&[("m1", "a")]).await?;
    let late = Group::new("late")?;
    if let Err(error) = scene.declare(&late).await {
        return Ok(format!("there is no second group: {}", refused(&error)));
    }
    let subscription = Subscription::new(scene.topic.clone(), late).start(Start::Earliest);
    match scene.broker.consumer(subscription).await {
        Ok(mut late) => Ok(list(&scene.take_and_ack(&mut late, 1).await?)),
        Err(error) => Ok(refused(&error)),
    }
}

pub(super) async fn undeclared_group(scene: &Scene) -> Result<String> {
    scene.declare(&scene.group).await?;
    let other = Subscription::new(scene.topic.clone(), Group::new("late")?);
    Ok(match scene.broker.consumer(other).await {
        Ok(_) => "it is there".to_owned(),
        Err(error) => refused(&error),
    })
}
