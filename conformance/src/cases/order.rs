//! Order per key.

use std::sync::Arc;
use std::time::Duration;

use super::flow::{self, Load, Manners, Member, Progress};
use super::{CaseResult, Context};
use crate::properties::Property;

const POLITE: Manners = Manners { nack: 0, release: 0, prefetch: 200 };
const RUDE: Manners = Manners { nack: 5, release: 3, prefetch: 100 };

async fn run(context: Context, case: &str, members: usize, manners: Manners, load: Load) -> CaseResult {
    let stage = context.stage(case, 1).await?;
    let progress = Arc::new(Progress::default());
    let mut group = Vec::new();
    for number in 0..members {
        group.push(Member::join(&stage, 0, manners, context.seed + number as u64, &progress).await?);
    }
    flow::publish(&stage, load, context.seed, &progress).await?;
    let exercised: &[Property] = if manners.nack > 0 {
        &[Property::P1, Property::P3, Property::P6, Property::P7]
    } else {
        &[Property::P1, Property::P3, Property::P7]
    };
    flow::conclude(&stage, context.quiet, group, &progress, exercised).await
}

fn load(publishers: usize, batch: usize) -> Load {
    Load { publishers, messages: 1_200 / publishers, keys: 40, batch, pause: Duration::ZERO }
}

pub(super) async fn order_per_key(context: Context) -> CaseResult {
    run(context, "order-per-key", 1, RUDE, load(3, 20)).await
}

pub(super) async fn order_across_consumers(context: Context) -> CaseResult {
    run(context, "order-across-consumers", 3, RUDE, load(4, 10)).await
}

pub(super) async fn batches_and_single_publishes(context: Context) -> CaseResult {
    run(context, "single-publishes", 1, POLITE, load(2, 1)).await
}
