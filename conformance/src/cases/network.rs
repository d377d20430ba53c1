//! Connections break, fall silent, or are slow, while messages flow.

use std::sync::Arc;
use std::time::Duration;

use super::flow::{self, Chance, Member, Progress};
use super::stream::{self, EXERCISED, Moments};
use super::{CaseResult, Context, Failure, Finding, ensure};

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
    let members = stream::two_members(&stage.recorded, &stage, context.seed, &progress).await?;
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    let cuts = async {
        let mut broken = 0;
        for _ in 0..CUTS {
            broken += moments.cut(&proxy, &context.name).await?;
        }
        Ok::<_, Failure>(broken)
    };
    let broken = stream::publish_while(&stage, context.seed, &progress, cuts).await?;
    stream::heal(&stage, &progress).await?;
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
    let stage = context.stage_promising("half-open", 1, super::membership::silent).await?;
    let aside = stage.recorder.wrap(connect().await?);
    let progress = Arc::new(Progress::default());
    let members = [
        Member::join_by(&aside, &stage, 0, stream::work(&stage), context.seed, &progress).await?,
        Member::join_by(&stage.recorded, &stage, 0, stream::work(&stage), context.seed + 1, &progress)
            .await?,
    ];
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    let silence = async {
        moments.pass().await?;
        stream::connected(&proxy).await?;
        stream::in_flight(&stage, "stall", &context.name).await?;
        proxy.stall();
        let before = progress.acknowledged_count(&stage.groups[0]);
        tokio::time::sleep(SILENT).await;
        let meanwhile = progress.acknowledged_count(&stage.groups[0]) - before;
        stream::in_flight(&stage, "cut", &context.name).await?;
        proxy.cut();
        proxy.resume();
        Ok::<_, Failure>(meanwhile)
    };
    let meanwhile = stream::publish_while(&stage, context.seed, &progress, silence).await?;
    stream::heal(&stage, &progress).await?;
    let found = flow::conclude(&stage, context.quiet, members, &progress, &EXERCISED).await?;
    aside.close().await?;
    Ok(found.and(format!("{meanwhile} acknowledged while one member was silent")))
}

const DELAYS: usize = 3;

/// Every byte comes later, both ways, at times more and at times less: nothing may be taken for broken, nor overtake.
pub(super) async fn connection_delayed(context: Context) -> CaseResult {
    let (proxy, connect) = match &context.detour {
        Ok(detour) => detour().await?,
        Err(reason) => return Ok(Finding::NotApplicable((*reason).into())),
    };
    let context = Context { connect, ..context };
    let stage = context.stage("delayed", 1).await?;
    let progress = Arc::new(Progress::default());
    let members = stream::two_members(&stage.recorded, &stage, context.seed, &progress).await?;
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    let delays = async {
        let mut delayed = Vec::new();
        for _ in 0..DELAYS {
            moments.strike("delay", &context.name).await?;
            let delay = Duration::from_millis(20 + moments.chance.below(180));
            proxy.delay(delay);
            delayed.push(delay);
            moments.pass().await?;
            proxy.delay(Duration::ZERO);
        }
        Ok::<_, Failure>(delayed)
    };
    let delayed = stream::publish_while(&stage, context.seed, &progress, delays).await?;
    ensure(progress.unheard().is_empty(), || {
        format!("{} publishes are unknown, and nothing was broken", progress.unheard().len())
    })?;
    stream::heal(&stage, &progress).await?;
    let found = flow::conclude(&stage, context.quiet, members, &progress, &EXERCISED).await?;
    Ok(found.and(format!("delayed by {delayed:?}")))
}
