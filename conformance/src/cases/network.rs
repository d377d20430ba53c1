//! Connections break, or fall silent, while messages flow.

use std::sync::Arc;
use std::time::Duration;

use super::flow::{self, Load, Manners, Member, Progress};
use super::{CaseResult, Context, Failure, Finding, ensure};
use crate::properties::Property;

const MANNERS: Manners = Manners { nack: 3, release: 2, prefetch: 50 };
const EXERCISED: [Property; 3] = [Property::P3, Property::P6, Property::P7];

const CUTS: usize = 5;

/// Every connection is reset, of publishers and members, again and again.
pub(super) async fn connection_cut(context: Context) -> CaseResult {
    let (proxy, connect) = match &context.detour {
        Ok(detour) => detour().await?,
        Err(reason) => return Ok(Finding::NotApplicable((*reason).into())),
    };
    let context = Context { connect, ..context };
    let stage = context.stage("cut", 1).await?;
    let progress = Arc::new(Progress::default());
    let load = Load { publishers: 3, messages: 600, keys: 40, batch: 5, pause: Duration::from_millis(15) };
    let members = [
        Member::join(&stage, 0, MANNERS, context.seed, &progress).await?,
        Member::join(&stage, 0, MANNERS, context.seed + 1, &progress).await?,
    ];
    let cuts = async {
        let mut broken = 0;
        for number in 1..=CUTS {
            progress.reaches(number * 200).await?;
            stage.recorder.fault("cut", &context.name);
            let open = proxy.cut();
            ensure(open > 0, || "messages flow, and no connection leads through the proxy".to_owned())?;
            broken += open;
        }
        Ok::<_, Failure>(broken)
    };
    let publish = async { Ok(flow::publish(&stage, load, context.seed, &progress).await?) };
    let (broken, ()) = tokio::try_join!(cuts, publish)?;
    let found = flow::conclude(&stage, context.quiet, members, &progress, &EXERCISED).await?;
    Ok(found.and(format!("{broken} connections cut in {CUTS} cuts")))
}

/// Longer than a member that takes the detour may be silent before it counts as dead.
const SILENT: Duration = Duration::from_secs(10);

/// One member hears nothing of the broker, nor the broker of it, for longer than either waits; then its connections
/// are reset. Meanwhile all others go on.
pub(super) async fn connection_half_open(context: Context) -> CaseResult {
    let (proxy, connect) = match &context.detour {
        Ok(detour) => detour().await?,
        Err(reason) => return Ok(Finding::NotApplicable((*reason).into())),
    };
    let stage = context.stage("half-open", 1).await?;
    let aside = stage.recorder.wrap(connect().await?);
    let progress = Arc::new(Progress::default());
    let load = Load { publishers: 2, messages: 1_200, keys: 40, batch: 5, pause: Duration::from_millis(30) };
    let members = [
        Member::join_by(&aside, &stage, 0, MANNERS, context.seed, &progress).await?,
        Member::join(&stage, 0, MANNERS, context.seed + 1, &progress).await?,
    ];
    let silence = async {
        progress.reaches(300).await?;
        let open = proxy.connections();
        ensure(open > 0, || "messages flow, and the member's connection is not open".to_owned())?;
        stage.recorder.fault("stall", &context.name);
        proxy.stall();
        let before = progress.acknowledged_count(&stage.groups[0]);
        tokio::time::sleep(SILENT).await;
        let meanwhile = progress.acknowledged_count(&stage.groups[0]) - before;
        stage.recorder.fault("cut", &context.name);
        proxy.cut();
        proxy.resume();
        stage.recorder.fault("heal", &context.name);
        Ok::<_, Failure>(meanwhile)
    };
    let publish = async { Ok(flow::publish(&stage, load, context.seed, &progress).await?) };
    let (meanwhile, ()) = tokio::try_join!(silence, publish)?;
    let found = flow::conclude(&stage, context.quiet, members, &progress, &EXERCISED).await?;
    aside.close().await?;
    Ok(found.and(format!("{meanwhile} acknowledged while one member was silent")))
}
