//! What is given up.

use std::time::Duration;

use anybroker::{Consumer, DeadLetterPolicy, Group, Result, Subscription, Topic, Topology};

use crate::scene::{Scene, id, list};

/// A member whose dead letters somebody reads.
async fn open(scene: &Scene, max_attempts: Option<u32>) -> Result<(Box<dyn Consumer>, Box<dyn Consumer>)> {
    scene.declare(&scene.group).await?;
    let topic = Topic::new(format!("{}-dead", scene.topic))?;
    let reader = Group::new("reader")?;
    scene.broker.admin().declare(&Topology::new(topic.clone()).group(reader.clone())).await?;
    let letters = scene.broker.consumer(Subscription::new(topic.clone(), reader)).await?;
    let policy = DeadLetterPolicy { topic, max_attempts };
    Ok((scene.broker.consumer(scene.subscription().dead_letter(policy)).await?, letters))
}

/// What the reader gets.
async fn letters(scene: &Scene, letters: &mut Box<dyn Consumer>) -> Result<String> {
    let letter = scene.next(letters).await?;
    let text = letter.map_or("no dead letter".to_owned(), |letter| {
        let attempts = letter.to_message().headers.get("dead-letter-attempts").map(|value| value.to_vec());
        let attempts = String::from_utf8(attempts.unwrap_or_default()).unwrap();
        format!("dead letter {} says {attempts} attempts", id(&letter))
    });
    let topic = Topic::new(format!("{}-dead", scene.topic))?;
    // What is left behind says nothing about the answer.
    let _ = scene.broker.admin().delete(&topic).await;
    Ok(text)
}

pub(super) async fn attempts_used_up(scene: &Scene) -> Result<String> {
    let (mut member, mut reader) = open(scene, Some(3)).await?;
    scene.publish(&[("a1", "a"), ("a2", "a")]).await?;
    let mut came = Vec::new();
    for _ in 0..4 {
        let Some(delivery) = scene.next(&mut member).await? else { break };
        came.push(id(&delivery));
        if id(&delivery) == "a2" {
            delivery.ack().await?;
            break;
        }
        delivery.nack(Duration::ZERO).await?;
    }
    Ok(format!("{}; {}", list(&came), letters(scene, &mut reader).await?))
}

pub(super) async fn given_up(scene: &Scene) -> Result<String> {
    let (mut member, mut reader) = open(scene, None).await?;
    scene.publish(&[("a1", "a"), ("a2", "a")]).await?;
    let Some(first) = scene.next(&mut member).await? else { return Ok("nothing".into()) };
    first.dead_letter("it cannot be read").await?;
    let came = scene.take_and_ack(&mut member, 1).await?;
    Ok(format!("then {}; {}", list(&came), letters(scene, &mut reader).await?))
}
