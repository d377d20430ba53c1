//! Runs a workload: step by step, until everything that was confirmed is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{
    Broker, DeadLetterPolicy, DeliveryLevel, Group, Guarantees, Level as _, Subscription, Topic, Topology,
};
use futures::future::try_join_all;
use tokio::time::{sleep, timeout};

use super::super::flow::Progress;
use super::super::membership::silent;
use super::super::stream::opened;
use super::super::{Context, Failure, Stage, failed};
use super::faults::Breaker;
use super::member::Member;
use super::publisher::Publishing;
use super::{Judged, adversary};
use crate::history::{Drained, Event, Promises};
use crate::recorder::Recorder;
use crate::workload::{Fault, Manners, Step, Workload};

/// How a run ended, and what it recorded.
pub(super) struct Ran {
    pub(super) ended: Result<Judged, Failure>,
    pub(super) recorder: Option<Arc<Recorder>>,
}

/// How long no outcome of a publish may come: longer than any client waits for an answer.
const PUBLISHED: Duration = Duration::from_secs(60);

pub(super) async fn run(context: &Context, workload: &Workload) -> Ran {
    let mut running = match Running::begin(context, workload).await {
        Ok(running) => running,
        Err(error) => return Ran { ended: Err(error), recorder: None },
    };
    let ended = running.all(workload).await;
    let recorder = Some(running.stage.recorder.clone());
    let tidied = running.tidy().await;
    Ran { ended: ended.and_then(|judged| tidied.map(|()| judged)), recorder }
}

struct Running<'a> {
    context: &'a Context,
    stage: Stage,
    /// The way that publishers and members take: where connections are cut, through the proxy.
    way: Broker,
    breaker: Breaker<'a>,
    publishers: BTreeMap<usize, Publishing>,
    members: BTreeMap<usize, Member>,
    progress: Arc<Progress>,
    dead_letters: Option<Topic>,
    seed: u64,
    faults: u64,
}

impl<'a> Running<'a> {
    async fn begin(context: &'a Context, workload: &Workload) -> Result<Self, Failure> {
        let breaker = Breaker::new(context, workload).await?;
        // A history of its own: it becomes evidence only if the caller says so.
        let own = Context { histories: Default::default(), ..context.clone() };
        let breaks = breaker.breaks();
        let held_to = |given: &Guarantees, promises| {
            let promises = kept_without_members(promises);
            if breaks { silent(given, promises) } else { promises }
        };
        let stage = own.stage_promising("workload", workload.groups, held_to).await?;
        let way = match breaker.way() {
            Some(connect) => stage.recorder.wrap(connect().await?),
            None => stage.recorded.clone(),
        };
        Ok(Running {
            context,
            dead_letters: dead_letters(&stage, workload).await?,
            stage,
            way,
            breaker,
            publishers: BTreeMap::new(),
            members: BTreeMap::new(),
            progress: Arc::default(),
            seed: workload.seed,
            faults: 0,
        })
    }

    async fn all(&mut self, workload: &Workload) -> Result<Judged, Failure> {
        for step in &workload.steps {
            self.step(step).await?;
        }
        self.published().await?;
        self.drain().await?;
        let unknown = self.progress.unknown_count() as u64;
        let (confirmed, acknowledged) = (self.progress.confirmed_count() as u64, self.acknowledged());
        Ok(Judged { confirmed, unknown, acknowledged, faults: self.faults })
    }

    /// Waits until publishers have an outcome of everything.
    async fn published(&mut self) -> Result<(), Failure> {
        let publishers = std::mem::take(&mut self.publishers);
        let mut ended = Box::pin(try_join_all(publishers.into_values().map(Publishing::end)));
        let mut before = None;
        loop {
            match timeout(PUBLISHED, &mut ended).await {
                Ok(ended) => return ended.map(|_| ()),
                Err(_) => {
                    let now = Some(self.progress.confirmed_count() + self.progress.unknown_count());
                    if before == now {
                        return failed(format!("no outcome of any publish came within {PUBLISHED:?}"));
                    }
                    before = now;
                }
            }
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), Failure> {
        match *step {
            Step::Pause { ms } => sleep(Duration::from_millis(ms)).await,
            Step::Publish(publish) => {
                let publisher = publish.publisher;
                self.publisher(publisher).await?.publish(publish);
            }
            Step::Join { member, group, manners } => self.join(member, group, manners).await?,
            Step::Behave { member, manners } => {
                if let Some(member) = self.members.get(&member) {
                    member.behave(manners);
                }
            }
            Step::Leave { member } => {
                if let Some(member) = self.members.remove(&member) {
                    member.leave().await?;
                }
            }
            Step::Drop { member } => {
                if let Some(member) = self.members.remove(&member) {
                    member.crash().await?;
                }
            }
            Step::Fault(fault) => self.fault(fault).await?,
        }
        Ok(())
    }

    async fn publisher(&mut self, number: usize) -> Result<&Publishing, Failure> {
        if !self.publishers.contains_key(&number) {
            let options = anybroker_core::PublisherOptions::new(self.stage.topic.clone());
            let publisher = opened(|| self.way.publisher(options.clone())).await?;
            let publishing = Publishing::start(publisher, number, self.seed, &self.progress);
            self.publishers.insert(number, publishing);
        }
        self.publishers.get(&number).ok_or_else(|| "there is no publisher".into())
    }

    async fn join(&mut self, number: usize, group: usize, manners: Manners) -> Result<(), Failure> {
        if self.members.contains_key(&number) {
            return Ok(());
        }
        let group = self.stage.groups[group % self.stage.groups.len()].clone();
        let mut subscription =
            Subscription::new(self.stage.topic.clone(), group).prefetch(manners.prefetch as usize);
        if let Some(topic) = &self.dead_letters {
            subscription =
                subscription.dead_letter(DeadLetterPolicy { topic: topic.clone(), max_attempts: None });
        }
        let consumer = opened(|| self.way.consumer(subscription.clone())).await?;
        let seed = self.seed.wrapping_add(number as u64);
        let again = (self.way.clone(), subscription);
        self.members.insert(number, Member::start(consumer, again, manners, seed, &self.progress));
        Ok(())
    }

    /// Publishes a burst of messages and breaks something while they are on their way.
    async fn fault(&mut self, Fault { kind, burst }: Fault) -> Result<(), Failure> {
        self.faults += 1;
        let burst = self.publisher(BURSTS).await?.burst(burst);
        self.breaker.broken(&self.stage, &self.progress, (kind, self.faults), burst).await
    }

    /// Waits until everything that was confirmed is done, in every group; then nobody is left.
    async fn drain(&mut self) -> Result<(), Failure> {
        if let Some(adversary) = adversary(&self.stage.broker) {
            adversary.rest();
        }
        for group in 0..self.stage.groups.len() {
            if !self.members.values().any(|member| *member.group() == self.stage.groups[group]) {
                self.join(LAST + group, group, Manners::POLITE).await?;
            }
        }
        self.members.values().for_each(|member| member.behave(Manners::POLITE));
        // Where nothing comes again, what is missing is missed soon.
        let kept = self.stage.guarantees.delivery.value.satisfies(DeliveryLevel::AtLeastOnce);
        let quiet = if kept { self.context.quiet } else { Duration::from_secs(1) };
        self.progress.finished(&self.stage.groups, quiet).await;
        if self.faults > 0 {
            // Only now: a backlog is no stall.
            self.publisher(LAST).await?.sentinels(SENTINELS);
            self.published().await?;
            self.progress.finished(&self.stage.groups, quiet).await;
        }
        for (_, member) in std::mem::take(&mut self.members) {
            member.leave().await?;
        }
        for group in &self.stage.groups {
            let drained = Drained { group: group.as_str().into(), topic: self.stage.topic.as_str().into() };
            self.stage.recorder.record(&Event::Drained(drained));
        }
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.stage.groups.iter().map(|group| self.progress.acknowledged_count(group) as u64).sum()
    }

    /// Deletes the topics, and closes the connections.
    async fn tidy(self) -> Result<(), Failure> {
        let admin = self.stage.broker.admin();
        admin.delete(&self.stage.topic).await?;
        if let Some(topic) = &self.dead_letters {
            admin.delete(topic).await?;
        }
        // One that was cut may have nothing left to say it to.
        let _ = self.way.close().await;
        Ok(self.stage.broker.close().await?)
    }
}

/// The publisher that has messages on their way when something breaks.
const BURSTS: usize = 100;
/// How many messages show that everything moves again once what broke is mended.
const SENTINELS: u32 = 10;
/// The first of those that join a group which nobody is left in.
const LAST: usize = 100;

/// Where nothing is kept for a member that comes later, a group has none for a while, and a history does not show it.
fn kept_without_members(promises: Promises) -> Promises {
    Promises { p14: promises.p14.filter(|_| promises.p3.is_some()), ..promises }
}

/// A dead letter topic, where members use one.
async fn dead_letters(stage: &Stage, workload: &Workload) -> Result<Option<Topic>, Failure> {
    let letters = |step: &Step| matches!(step, Step::Join { manners, .. } | Step::Behave { manners, .. } if manners.dead_letter > 0);
    if !workload.steps.iter().any(letters) {
        return Ok(None);
    }
    let topic = Topic::new(format!("{}-dead", stage.topic))?;
    let reader = Group::new("reader")?;
    stage.broker.admin().declare(&Topology::new(topic.clone()).group(reader)).await?;
    Ok(Some(topic))
}
