//! The same id again.

use anybroker::{PublisherExt as _, PublisherOptions, Result};

use crate::scene::{Scene, list, message, outcome};

pub(super) async fn at_once(scene: &Scene) -> Result<String> {
    let mut member = scene.join().await?;
    let publisher = scene.publisher().await?;
    publisher.publish(message("a1", "a")).await?;
    let second = publisher.publish(message("a1", "a")).await;
    let came = scene.take_and_ack(&mut member, 2).await?;
    Ok(format!("{}; {}", list(&came), outcome(&second)))
}

pub(super) async fn by_another_connection(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&[("a1", "a")]).await?;
    let other = scene.reconnect().await?;
    let publisher = other.publisher(PublisherOptions::new(scene.topic.clone())).await?;
    let second = publisher.publish(message("a1", "a")).await;
    let came = scene.take_and_ack(&mut member, 2).await?;
    other.close().await?;
    Ok(format!("{}; {}", list(&came), outcome(&second)))
}

pub(super) async fn after_a_restart(scene: &Scene) -> Result<String> {
    scene.declare(&scene.group).await?;
    scene.publish(&[("a1", "a")]).await?;
    scene.restart().await?;
    let other = scene.reconnect().await?;
    let mut member = other.consumer(scene.subscription()).await?;
    let publisher = other.publisher(PublisherOptions::new(scene.topic.clone())).await?;
    let second = publisher.publish(message("a1", "a")).await;
    let came = scene.take_and_ack(&mut member, 2).await?;
    other.close().await?;
    Ok(format!("{}; {}", list(&came), outcome(&second)))
}
