//! What is put back.

use std::time::Duration;

use anybroker::{Result, Settled};
use tokio::time::{Instant, timeout};

use crate::scene::{Scene, id, list, refused};

const THREE: [(&str, &str); 3] = [("a1", "a"), ("a2", "a"), ("a3", "a")];

pub(super) async fn in_hand(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&THREE).await?;
    Ok(match scene.take(&mut member, 3).await?.len() {
        1 => "one at a time".to_owned(),
        3 => "several".to_owned(),
        other => format!("{other} of 3"),
    })
}

pub(super) async fn later_of_a_held_key(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&[("a1", "a")]).await?;
    let Some(_held) = scene.next(&mut member).await? else { return Ok("nothing".into()) };
    scene.publish(&[("a2", "a"), ("b1", "b")]).await?;
    let mut came: Vec<_> = scene.take(&mut member, 2).await?.iter().map(id).collect();
    came.sort();
    Ok(list(&came))
}

pub(super) async fn nack_in_its_key(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&THREE).await?;
    let mut held = scene.take(&mut member, 3).await?.into_iter();
    let Some(first) = held.next() else { return Ok("nothing".into()) };
    first.nack(Duration::from_millis(200)).await?;
    drop(held);
    Ok(list(&scene.take_and_ack(&mut member, 3).await?))
}

pub(super) async fn nack_and_other_keys(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&[("a1", "a")]).await?;
    let Some(first) = scene.next(&mut member).await? else { return Ok("nothing".into()) };
    // Far longer than it takes to publish, however busy the machine.
    let delay = Duration::from_secs(20);
    first.nack(delay).await?;
    let began = Instant::now();
    scene.publish(&[("b1", "b")]).await?;
    let Some(next) = scene.next(&mut member).await? else { return Ok("nothing".into()) };
    let meanwhile = began.elapsed() < delay;
    Ok(match (id(&next).as_str(), meanwhile) {
        ("b1", true) => "yes".to_owned(),
        (other, _) => format!("no: {other} comes first"),
    })
}

pub(super) async fn nack_waits(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&[("a1", "a")]).await?;
    let Some(first) = scene.next(&mut member).await? else { return Ok("nothing".into()) };
    let (delay, began) = (Duration::from_millis(700), Instant::now());
    first.nack(delay).await?;
    Ok(match scene.next(&mut member).await? {
        None => "it does not come again".to_owned(),
        Some(_) if began.elapsed() < delay => "yes".to_owned(),
        Some(_) => "no".to_owned(),
    })
}

pub(super) async fn marks_after_nack(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&[("a1", "a")]).await?;
    let Some(first) = scene.next(&mut member).await? else { return Ok("nothing".into()) };
    let before = scene.marks(&first);
    first.nack(Duration::ZERO).await?;
    let again = scene.next(&mut member).await?;
    Ok(format!("{before}; then {}", again.as_ref().map_or("not at all".into(), |again| scene.marks(again))))
}

pub(super) async fn settling_behind_a_nack(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&THREE).await?;
    let mut held = scene.take(&mut member, 3).await?.into_iter();
    let Some(first) = held.next() else { return Ok("nothing".into()) };
    let Some(second) = held.next() else { return Ok("a2 is not in hand".into()) };
    first.nack(Duration::ZERO).await?;
    Ok(match second.ack().await {
        Ok(_) => "it counts".to_owned(),
        Err(error) => refused(error.error()),
    })
}

pub(super) async fn answer_to_an_acknowledgement(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&[("a1", "a")]).await?;
    let Some(first) = scene.next(&mut member).await? else { return Ok("nothing".into()) };
    let answer = match first.ack().await? {
        Settled::Recorded => "recorded",
        Settled::Confirmed => "confirmed",
    };
    let more = timeout(Duration::from_secs(1), member.receive(1)).await.is_ok();
    Ok(format!("{answer}{}", if more { ", and it comes again" } else { "" }))
}
