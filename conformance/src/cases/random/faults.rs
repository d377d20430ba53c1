//! Breaks what a workload says.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::super::flow::Progress;
use super::super::member::{MemberProcess, Role};
use super::super::stream::soon_in_flight;
use super::super::{Connect, Context, Failure, Stage};
use crate::proxy::Proxy;
use crate::workload::{FaultKind, Manners, Step, Workload};

/// What can be broken in a run.
pub(super) struct Breaker<'a> {
    context: &'a Context,
    detour: Option<(Proxy, Connect)>,
    breaks: bool,
}

/// How long a member process has to get going.
const WORKED: Duration = Duration::from_secs(6);

impl<'a> Breaker<'a> {
    pub(super) async fn new(context: &'a Context, workload: &Workload) -> Result<Self, Failure> {
        let faults: Vec<_> = workload.steps.iter().filter_map(fault).collect();
        let connections = |kind: &FaultKind| {
            matches!(kind, FaultKind::Cut | FaultKind::Stall { .. } | FaultKind::DropReplies { .. })
        };
        let detour = match &context.detour {
            Ok(detour) if faults.iter().any(connections) => Some(detour().await?),
            _ => None,
        };
        Ok(Breaker { context, detour, breaks: !faults.is_empty() })
    }

    /// Whether anything may break.
    pub(super) fn breaks(&self) -> bool {
        self.breaks
    }

    /// The way that leads through the proxy, where there is one.
    pub(super) fn way(&self) -> Option<&Connect> {
        self.detour.as_ref().map(|(_, connect)| connect)
    }

    /// Breaks something once `burst` is done, and mends it. Where there is no way to do it, only the burst is done.
    pub(super) async fn broken(
        &self,
        stage: &Stage,
        progress: &Arc<Progress>,
        (kind, number): (FaultKind, u64),
        burst: impl Future<Output = ()>,
    ) -> Result<(), Failure> {
        let target = &self.context.name;
        match (kind, &self.detour, &self.context.faults) {
            (FaultKind::Cut, Some((proxy, _)), _) => {
                burst.await;
                soon_in_flight(stage, "cut", target).await;
                proxy.cut();
            }
            (FaultKind::Stall { ms }, Some((proxy, _)), _) => {
                burst.await;
                soon_in_flight(stage, "stall", target).await;
                proxy.stall();
                wait(ms).await;
                proxy.resume();
                stage.recorder.fault("heal", target);
            }
            (FaultKind::DropReplies { ms }, Some((proxy, _)), _) => {
                burst.await;
                soon_in_flight(stage, "drop_replies", target).await;
                proxy.drop_replies();
                wait(ms).await;
                stage.recorder.fault("cut", target);
                proxy.cut();
                stage.recorder.fault("heal", target);
            }
            (FaultKind::PauseBroker { ms }, _, Ok(faults)) => {
                burst.await;
                soon_in_flight(stage, "pause", target).await;
                faults.pause().await?;
                wait(ms).await;
                faults.resume().await?;
                stage.recorder.fault("resume", target);
            }
            (FaultKind::KillBroker, _, Ok(faults)) => {
                burst.await;
                soon_in_flight(stage, "kill", target).await;
                faults.kill().await?;
                faults.restart().await?;
                stage.recorder.fault("restart", target);
            }
            (FaultKind::KillMember, ..) => self.kill_member(stage, progress, number, burst).await?,
            _ => burst.await,
        }
        Ok(())
    }

    /// A member process joins the first group, works for a while, and is killed.
    async fn kill_member(
        &self,
        stage: &Stage,
        progress: &Arc<Progress>,
        number: u64,
        burst: impl Future<Output = ()>,
    ) -> Result<(), Failure> {
        let Ok(spawn) = &self.context.spawn_member else {
            burst.await;
            return Ok(());
        };
        let name = format!("process-{number}");
        let who = (name.as_str(), Role::Member(Manners::WINDOW as usize));
        let mut process = MemberProcess::start(spawn, stage, who, self.context.seed, progress)?;
        // It may only wait, where one member at a time is active.
        let _ = timeout(WORKED, process.acknowledged(20)).await;
        Ok(process.kill_amid(stage, burst).await?)
    }
}

async fn wait(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

fn fault(step: &Step) -> Option<FaultKind> {
    match step {
        Step::Fault(fault) => Some(fault.kind),
        _ => None,
    }
}
