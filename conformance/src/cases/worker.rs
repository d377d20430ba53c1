//! The worker on the backend: what handlers see is held to what the backend promises, as far as it reaches them.

mod faults;
pub mod kills;
mod lanes;
mod members;
mod order;
mod poison;
mod team;

pub(super) use faults::{worker_broker_killed, worker_connections_cut};
pub(super) use lanes::{worker_keyed_lanes, worker_retries_in_order};
pub(super) use members::{worker_killed, workers_join_and_leave};
pub(super) use poison::worker_poison;
pub(super) use team::{HandlerWork, handle};

use std::time::Duration;

use anybroker_core::{Guarantees, Result};

use super::flow::{self, Progress};
use super::membership::silent;
use super::{CaseResult, Context, Failure, Stage};
use crate::history::{Exclusive, Order, OrderScope, Promises};
use crate::properties::Property;
use team::Team;

/// Sixteen handlers at once, of a few milliseconds, some of which fail.
const WORK: HandlerWork =
    HandlerWork { handlers: 16, least: Duration::from_millis(1), most: Duration::from_millis(6), fail: 4 };

impl Context {
    /// A stage whose history has a delivery when a handler begins.
    async fn handlers_stage(&self, case: &str) -> Result<Stage> {
        self.stage_promising(case, 1, seen_by_handlers).await
    }
}

/// What reaches handlers of what is promised: the order of each key, whose messages are handled one after the other, and
/// not that of a partition or queue, whose keys are handled beside each other. Where a broker lends for a time, that time begins
/// when a message is received, which a history of handlers does not show.
pub(super) fn seen_by_handlers(given: &Guarantees, promises: Promises) -> Promises {
    let promises = silent(given, promises);
    let key = |scope| match scope {
        OrderScope::Publisher => None,
        OrderScope::Key | OrderScope::Partition | OrderScope::Queue | OrderScope::Total => {
            Some(OrderScope::Key)
        }
    };
    let order = |order: Option<Order>| order.and_then(|order| key(order.scope)).map(|scope| Order { scope });
    let exclusive = |it: Exclusive| key(it.scope).map(|scope| Exclusive { scope, ..it });
    Promises {
        p7: order(promises.p7),
        p7r: order(promises.p7r),
        p8: promises.p8.and_then(exclusive),
        p16: None,
        ..promises
    }
}

/// Waits for the end, lets the workers drain, and holds what the handlers saw to the promises.
async fn conclude(
    stage: &Stage,
    quiet: Duration,
    team: Team<'_>,
    progress: &Progress,
    exercised: &[Property],
) -> CaseResult {
    progress.finished(&stage.groups, stage.waits(quiet)).await;
    let handled = team.leave().await?;
    let found = flow::judge(stage, progress, exercised)?.and(handled).and(in_order(stage)?);
    stage.tidy().await?;
    Ok(found)
}

/// Whether handlers began with the messages of each key in the order of their publishing, whatever mark they bore.
fn in_order(stage: &Stage) -> std::result::Result<String, Failure> {
    match order::is_kept(&stage.guarantees) {
        true => order::check(&stage.recorder).map(|messages| format!("{messages} messages begun in order")),
        false => Ok("order across sessions is not promised".into()),
    }
}
