//! Long after everything was acknowledged.

use std::time::Duration;

use super::steps::{hold, nothing_comes, numbered, open, publish, take_and_ack};
use super::{CaseResult, Context, step};
use crate::properties::Property;

/// Longer than the usual time-outs of half a minute after which a broker delivers again.
const LONG: Duration = Duration::from_secs(35);

/// What was acknowledged does not come again half a minute later.
pub(super) async fn silence_after_the_end(context: Context) -> CaseResult {
    const COUNT: usize = 60;
    let stage = context.stage("silence", 1).await?;
    let mut consumer = open(&stage).await?;
    publish(&stage, numbered("m", COUNT, 10)).await?;
    take_and_ack(&mut consumer, COUNT).await?;
    nothing_comes(&mut consumer, LONG).await?;
    step("close", consumer.close()).await?;
    hold(&stage, &[Property::P1, Property::P3], format!("nothing for {LONG:?}")).await
}
