//! Many keys at once, each in order; also where handlers fail in the middle.

use std::sync::Arc;
use std::time::Duration;

use super::super::flow::{self, Load, Progress};
use super::super::{CaseResult, Context};
use super::team::{HandlerWork, Team};
use super::{WORK, conclude};
use crate::properties::Property;

const KEYS: usize = 40;

fn load(messages: usize) -> Load {
    Load { publishers: 3, messages: messages / 3, keys: KEYS, batch: 20, pause: Duration::ZERO }
}

pub(in crate::cases) async fn worker_keyed_lanes(context: Context) -> CaseResult {
    let exercised = [Property::P1, Property::P3, Property::P7];
    run(context, "worker-lanes", HandlerWork { fail: 0, ..WORK }, &exercised).await
}

/// Handlers fail; their messages come again before the later ones of their keys.
pub(in crate::cases) async fn worker_retries_in_order(context: Context) -> CaseResult {
    let exercised = [Property::P3, Property::P6, Property::P7, Property::P7r];
    run(context, "worker-retries", HandlerWork { fail: 15, ..WORK }, &exercised).await
}

/// Two workers handle a load.
async fn run(context: Context, case: &str, work: HandlerWork, exercised: &[Property]) -> CaseResult {
    let stage = context.handlers_stage(case).await?;
    let progress = Arc::new(Progress::default());
    let mut team = Team::new(&stage, context.seed, &progress);
    team.join(work).await?;
    team.join(work).await?;
    let messages = if stage.one_at_a_time() { 240 } else { 600 };
    flow::publish(&stage, load(messages), context.seed, &progress).await?;
    conclude(&stage, context.quiet, team, &progress, exercised).await
}
