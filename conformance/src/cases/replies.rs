//! The broker stores what it is sent, and its answers are lost: the ambiguous publish.

use std::collections::HashSet;
use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Deduplication, Level as _, PublisherExt as _};

use super::flow::{self, Chance, Progress};
use super::stream::{self, EXERCISED, Moments};
use super::{CaseResult, Context, Failure, Finding, STEP, Stage, failed, step};
use crate::history::{self, Outcome};

const DROPS: usize = 2;

/// How many messages must have been stored and delivered without their publisher's hearing of it: a client that sends
/// five requests ahead of their answers stores no more than five, if each is of one message.
const UNHEARD: usize = 4;

/// How many more are waited for, at most, and how long: clients stop sending.
const MORE: u64 = 16;
const WHILE: Duration = Duration::from_secs(2);

/// Publishers hear nothing of the broker until their connections are reset, while members go on. A publish that was stored is
/// then unknown, or ok once the client has asked again; never failed. Where the broker deduplicates, what is unknown is
/// published again, and stored once.
pub(super) async fn replies_dropped(context: Context) -> CaseResult {
    let (proxy, connect) = match &context.detour {
        Ok(detour) => detour().await?,
        Err(reason) => return Ok(Finding::NotApplicable((*reason).into())),
    };
    let direct = context.broker().await?;
    let context = Context { connect, ..context };
    let stage = context.stage("replies", 1).await?;
    let progress = Arc::new(Progress::default());
    let direct = stage.recorder.wrap(direct);
    let members = stream::two_members(&direct, &stage, context.seed, &progress).await?;
    let mut moments = Moments { stage: &stage, progress: &progress, chance: Chance::new(context.seed) };
    let drops = async {
        let mut unheard = 0;
        for _ in 0..DROPS {
            moments.pass().await?;
            let before = progress.acknowledged_unheard(&stage.groups[0]);
            proxy.drop_replies();
            stream::in_flight(&stage, "drop_replies", &context.name).await?;
            let wanted = UNHEARD + 1 + moments.chance.below(MORE) as usize;
            unheard += acknowledged_unheard(&stage, &progress, &before, wanted).await?;
            stream::cut(&stage, &proxy, &context.name).await?;
        }
        Ok::<_, Failure>(unheard)
    };
    let unheard = stream::publish_while(&stage, context.seed, &progress, drops).await?;
    let unknown = progress.unheard().len();
    stream::heal(&stage, &progress).await?;
    let again = publish_again(&stage, &progress).await?;
    heard_nothing(&stage)?;
    let found = flow::conclude(&stage, context.quiet, members, &progress, &EXERCISED).await?;
    direct.close().await?;
    Ok(found.and(format!("{unheard} stored and acknowledged unheard, {unknown} unknown{again}")))
}

/// Waits until messages have been acknowledged of which their publishers have not heard, if it can be so many more than
/// before; says how many.
///
/// A broker whose answers take long may have had all that its publishers send ahead when the answers ended, and nothing
/// comes after that. By then publishers have heard what they ever will: all that is unheard counts.
async fn acknowledged_unheard(
    stage: &Stage,
    progress: &Progress,
    before: &HashSet<String>,
    wanted: usize,
) -> Result<usize, Failure> {
    let group = &stage.groups[0];
    let more = |progress: &Progress| progress.acknowledged_unheard(group).difference(before).count();
    let all = |progress: &Progress| progress.acknowledged_unheard(group).len();
    let _ = tokio::time::timeout(WHILE, progress.until(|progress| more(progress) >= wanted)).await;
    if more(progress) >= UNHEARD {
        return Ok(more(progress));
    }
    match tokio::time::timeout(STEP, progress.until(|progress| all(progress) >= UNHEARD)).await {
        Ok(()) => Ok(all(progress)),
        Err(_) => {
            let unheard = all(progress);
            failed(format!("of what was published unheard {unheard} were acknowledged, not {UNHEARD}"))
        }
    }
}

/// Publishes what is unknown again, with the same ids, where that is stored once.
async fn publish_again(stage: &Stage, progress: &Progress) -> Result<String, Failure> {
    if !stage.guarantees.deduplication.value.satisfies(Deduplication::Window) {
        return Ok(String::new());
    }
    let messages = progress.unheard();
    let ids: Vec<_> = messages.iter().map(|message| message.id.to_string()).collect();
    let publisher = stage.publisher().await?;
    let outcomes = step("publish again", async { Ok(publisher.publish_batch(messages).await) }).await?;
    let mut duplicates = 0;
    for (id, outcome) in ids.iter().zip(outcomes) {
        duplicates += usize::from(outcome?.duplicate);
        progress.confirmed(id.clone());
    }
    step("close", publisher.close()).await?;
    Ok(format!(", {} published again, {duplicates} of them known to the broker", ids.len()))
}

/// While no answer comes, nothing that was begun then may be taken for confirmed.
fn heard_nothing(stage: &Stage) -> Result<(), Failure> {
    let history = history::read(BufReader::new(&stage.recorder.history()[..]))?;
    let mut since = None;
    for fault in history.faults() {
        match (history.name(fault.kind), since) {
            ("drop_replies", _) => since = Some(fault.at),
            ("cut", Some(since)) => {
                let heard = history.published().find(|(_, message, publish)| {
                    *publish > since
                        && message.outcome == Some(Outcome::Ok)
                        && message.published.is_some_and(|at| at < fault.at)
                });
                if let Some((id, ..)) = heard {
                    let m = history.message_id(id);
                    return failed(format!("{m} came back ok, and no answer of the broker came through"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
