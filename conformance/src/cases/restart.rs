//! The broker is killed and comes back while messages flow.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Durability, Level as _};

use super::flow::{self, Load, Manners, Member, Progress};
use super::{CaseResult, Context, Finding};
use crate::properties::Property;

const MANNERS: Manners = Manners { nack: 3, release: 2, prefetch: 50 };

pub(super) async fn broker_killed_and_restarted(context: Context) -> CaseResult {
    let stage = context.stage("broker-killed", 1).await?;
    if !stage.guarantees.durability_on_confirm.value.satisfies(Durability::PageCache) {
        return Ok(Finding::NotPromised(
            "durability-on-confirm = memory: it ends with the broker's process".into(),
        ));
    }
    if context.embedded {
        return Ok(Finding::NotPromised(
            "an embedded broker has no process of its own; it dies with its users, as in member_killed"
                .into(),
        ));
    }
    let Some(faults) = context.faults.clone() else {
        return super::failed(
            "the broker cannot be killed from here; give the case a way to, or exclude the backend",
        );
    };
    let progress = Arc::new(Progress::default());
    let load = Load { publishers: 3, messages: 1_000, keys: 40, batch: 5, pause: Duration::from_millis(15) };
    let members = [
        Member::join(&stage, 0, MANNERS, context.seed, &progress).await?,
        Member::join(&stage, 0, MANNERS, context.seed + 1, &progress).await?,
    ];
    let crash = async {
        progress.confirmed_at_least(500).await;
        stage.recorder.fault("kill", &context.name);
        faults.kill().await?;
        faults.restart().await?;
        stage.recorder.fault("restart", &context.name);
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    };
    let publish = async { Ok(flow::publish(&stage, load, context.seed, &progress).await?) };
    tokio::try_join!(crash, publish)?;
    flow::conclude(&stage, context.quiet, members, &progress, &[Property::P3, Property::P6, Property::P7])
        .await
}
