//! What goes from one member to another.

use std::collections::BTreeMap;
use std::time::Duration;

use anybroker::{Consumer, Delivery, Result};
use tokio::time::{Instant, timeout};

use crate::scene::{Scene, id, list, refused};

const TWO: [(&str, &str); 2] = [("a1", "a"), ("a2", "a")];

/// What the next member gets of the two.
async fn to_the_next(scene: &Scene, count: usize) -> Result<String> {
    let mut next = scene.join().await?;
    let mut came = Vec::new();
    // One by one: some brokers give out one of a key at a time.
    while came.len() < count {
        let Some(delivery) = scene.next(&mut next).await? else { break };
        came.push(scene.marks(&delivery));
        delivery.ack().await?;
    }
    next.close().await?;
    Ok(if came.is_empty() { list(&came) } else { came.join("; ") })
}

pub(super) async fn closed_with_messages(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&TWO).await?;
    let held = scene.take(&mut member, 2).await?;
    member.close().await?;
    drop(held);
    to_the_next(scene, 2).await
}

pub(super) async fn dropped_with_messages(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&TWO).await?;
    let held = scene.take(&mut member, 2).await?;
    drop(member);
    drop(held);
    to_the_next(scene, 2).await
}

pub(super) async fn cut_off_with_messages(scene: &Scene) -> Result<String> {
    let mut apart = scene.apart().await?;
    let mut member = scene.join_on(&apart.broker, &TWO).await?;
    let held = scene.take(&mut member, 2).await?;
    let member = apart.cut(member);
    let answer = to_the_next(scene, 2).await;
    drop((held, member));
    answer
}

pub(super) async fn nacked_and_closed(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&[("a1", "a")]).await?;
    let Some(first) = scene.next(&mut member).await? else { return Ok("nothing".into()) };
    first.nack(Duration::from_secs(3_600)).await?;
    member.close().await?;
    let came = to_the_next(scene, 1).await?;
    Ok(if came == "nothing" { came } else { format!("at once: {came}") })
}

pub(super) async fn hole(scene: &Scene) -> Result<String> {
    behind_a_hole(scene, true).await
}

pub(super) async fn hole_of_a_dropped_member(scene: &Scene) -> Result<String> {
    behind_a_hole(scene, false).await
}

async fn behind_a_hole(scene: &Scene, closes: bool) -> Result<String> {
    let mut member = scene.join_with(&[("a0", "a"), ("a1", "a"), ("a2", "a")]).await?;
    let mut held = scene.take(&mut member, 3).await?.into_iter();
    let Some(kept) = held.next() else { return Ok("nothing".into()) };
    for delivery in held {
        delivery.ack().await?;
    }
    let waiting = member.settler().flush().await?.messages;
    if closes {
        member.close().await?;
    } else {
        drop(member);
    }
    drop(kept);
    let mut next = scene.join().await?;
    let again = scene.take_and_ack(&mut next, 3).await?;
    next.close().await?;
    let told = if waiting > 0 { format!("; {waiting} could not be told") } else { String::new() };
    Ok(format!("{}{told}", list(&again)))
}

pub(super) async fn settling_after_close(scene: &Scene) -> Result<String> {
    let mut member = scene.join_with(&[("a1", "a")]).await?;
    let Some(held) = scene.next(&mut member).await? else { return Ok("nothing".into()) };
    member.close().await?;
    Ok(held.ack().await.map_or_else(|error| refused(error.error()), |_| "it counts".into()))
}

/// How soon a share is taken from a member that does not settle.
const DRAIN: Duration = Duration::from_millis(300);
/// How long a share may take to its next owner.
const MOVES: Duration = Duration::from_secs(15);
const KEYS: usize = 16;

pub(super) async fn rebalance(scene: &Scene) -> Result<String> {
    scene.declare(&scene.group).await?;
    let mut slow = scene.broker.consumer(scene.subscription().drain(DRAIN)).await?;
    let both = (0..KEYS).flat_map(|key| ["x", "y"].map(|name| (format!("{name}{key}"), format!("k{key}"))));
    let both: Vec<_> = both.collect();
    let both: Vec<_> = both.iter().map(|(id, key)| (id.as_str(), key.as_str())).collect();
    scene.publish(&both).await?;
    let (mut held, mut acknowledged) = (BTreeMap::new(), false);
    for delivery in scene.take(&mut slow, 2 * KEYS).await? {
        if id(&delivery).starts_with('y') {
            delivery.ack().await?;
            acknowledged = true;
        } else {
            held.insert(id(&delivery), delivery);
        }
    }
    slow.settler().flush().await?;
    let mut other = scene.broker.consumer(scene.subscription().drain(DRAIN)).await?;
    let came = moved(&mut slow, &mut other, &held).await?;
    let Some(taken) = came.iter().find_map(|came| held.remove(came)) else {
        return Ok("nothing, while it is held".into());
    };
    let late = taken.ack().await.map_or_else(|error| refused(error.error()), |_| "counts".into());
    let rewound = acknowledged && came.iter().any(|came| came.starts_with('y'));
    let what = if rewound { "x, and y again" } else { "x" };
    Ok(format!("{what}; a late acknowledgement of x: {late}"))
}

/// What comes to the other member; both take part in the handing over.
async fn moved(
    slow: &mut Box<dyn Consumer>,
    other: &mut Box<dyn Consumer>,
    held: &BTreeMap<String, Delivery>,
) -> Result<Vec<String>> {
    let (mut came, mut kept) = (Vec::<String>::new(), Vec::new());
    let mut until = Instant::now() + MOVES;
    loop {
        let batch = timeout(until.saturating_duration_since(Instant::now()), async {
            loop {
                tokio::select! {
                    biased;
                    batch = other.receive(100) => return batch,
                    // What comes to it again is its own.
                    more = slow.receive(100) => kept.extend(more?),
                }
            }
        });
        let Ok(batch) = batch.await else { return Ok(came) };
        for delivery in batch? {
            came.push(id(&delivery));
            delivery.ack().await?;
        }
        if came.iter().any(|came| held.contains_key(came)) {
            until = Instant::now() + Duration::from_secs(3);
        }
    }
}
