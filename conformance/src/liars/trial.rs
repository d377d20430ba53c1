//! One liar, or an honest broker, in front of the shared cases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anybroker_memory::{Memory, MemoryConfig};

use super::backend::LyingBackend;
use super::liar::{Liar, Root};
use super::matrix::{Row, judge};
use super::world::World;
use crate::cases::{Case, Context, Faults};
use crate::history::read;
use crate::properties::{Property, Verdict, check};
use crate::run::{CASE, Histories};

/// How long nothing may move before what is missing counts as lost: longer than P17 gives a broker to go on.
const QUIET: std::time::Duration = std::time::Duration::from_secs(100);

/// The cases that every liar is put to: they are quick. What a liar needs besides, it says.
pub(super) const COMMON: &[&str] = &[
    "round_trip",
    "empty_payload",
    "largest_and_one_byte_more",
    "nothing_comes_twice",
    "nack_waits_for_its_delay",
    "redelivery_is_counted",
    "lease_lapses",
    "close_hands_back",
    "drop_hands_back",
    "requirements_are_checked",
    "publish_before_any_group",
    "different_topology",
];

/// What the cases reported of one broker.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// Each with its first counterexample, in a sentence.
    properties: BTreeMap<Property, String>,
    /// The cases whose histories show a violation.
    seen: Vec<&'static str>,
    /// Cases that failed, each with the reason.
    failed: Vec<(&'static str, String)>,
}

impl Reported {
    /// The violated properties; where there are none, the cases that failed.
    fn names(&self) -> Vec<String> {
        if self.properties.is_empty() {
            return self.failed.iter().map(|(case, _)| (*case).to_owned()).collect();
        }
        self.properties.keys().map(|property| property.name().to_owned()).collect()
    }

    /// What shows each of them, in a sentence.
    fn shown(&self) -> Vec<String> {
        if self.properties.is_empty() {
            return self.failed.iter().map(|(_, reason)| first_line(reason)).collect();
        }
        self.properties.values().cloned().collect()
    }

    fn cases(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|(case, _)| *case).filter(|_| self.properties.is_empty());
        self.seen.iter().copied().chain(failed).map(str::to_owned).collect()
    }

    /// Whether anything was reported.
    pub(super) fn accuses(&self) -> bool {
        !self.properties.is_empty() || !self.failed.is_empty()
    }

    /// The first reason why a case failed.
    pub(super) fn reason(&self) -> Option<&str> {
        self.failed.first().map(|(_, reason)| reason.as_str())
    }
}

impl Liar {
    /// What was reported, as a row of the matrix.
    pub(super) fn row(&self, reported: &Reported) -> Row {
        let root = self.root.map(|root| root.to_string()).unwrap_or_default();
        let consequences: Vec<_> = self.consequences.iter().map(|(it, _)| it.name().to_owned()).collect();
        let verdict = judge(&root, &consequences, &reported.names());
        Row {
            name: self.name.to_owned(),
            about: self.about.to_owned(),
            root,
            consequences,
            because: self.consequences.iter().map(|(_, because)| (*because).to_owned()).collect(),
            reported: reported.names(),
            shown: reported.shown(),
            cases: reported.cases(),
            verdict,
        }
    }

    /// Runs the cases, each on a broker of its own and in a time of its own.
    pub(super) fn try_on(&self, cases: &[&Case], seed: u64) -> std::io::Result<Reported> {
        let mut reported = Reported::default();
        let for_it = |case: &&&Case| COMMON.contains(&case.name) || self.needs.contains(&case.name);
        for case in cases.iter().filter(for_it) {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
            runtime.block_on(self.one(case, seed, &mut reported));
        }
        Ok(reported)
    }

    async fn one(&self, case: &Case, seed: u64, reported: &mut Reported) {
        let (world, histories) = (World::new((self.lie)(), self.promise), Histories::default());
        let context = self.context(world, seed, histories.clone());
        match tokio::time::timeout(CASE, (case.run)(context)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => reported.failed.push((case.name, error.to_string())),
            Err(_) => reported.failed.push((case.name, format!("hangs; given up after {CASE:?}"))),
        }
        let recorders = std::mem::take(&mut *super::aside::lock(&histories));
        for recorder in recorders {
            match read(&recorder.history()[..]) {
                Ok(history) => {
                    let broken = |verdict| matches!(verdict, Verdict::Violation | Verdict::Stalled);
                    let found = check(&history).properties;
                    let broken: Vec<_> = found.iter().filter(|it| broken(it.1.verdict)).collect();
                    if !broken.is_empty() && !reported.seen.contains(&case.name) {
                        reported.seen.push(case.name);
                    }
                    for (property, finding) in broken {
                        let sentence = || finding.violations.first().map(|it| it.explanation.clone());
                        let _ = reported
                            .properties
                            .entry(*property)
                            .or_insert_with(|| sentence().unwrap_or_default());
                    }
                }
                Err(error) => {
                    reported.failed.push((case.name, format!("the history does not read: {error}")))
                }
            }
        }
    }

    fn context(&self, world: Arc<World>, seed: u64, histories: Histories) -> Context {
        let (config, pauses) = (self.config(), world.clone());
        // The broker lives for as long as somebody is connected.
        let keeper = Memory::open(config.clone());
        Context {
            name: self.name.to_owned(),
            connect: Arc::new(move || {
                let (_, memory) = (&keeper, Memory::open(config.clone()));
                let broker = LyingBackend::over(Arc::new(memory), world.clone());
                Box::pin(async move { Ok(broker) })
            }),
            spawn_member: Err("a liar lives in this process"),
            faults: Ok(Arc::new(Pauses(pauses))),
            detour: Err("a liar has no connection"),
            volatile: Some("a liar keeps its messages in this process's memory"),
            quiet: QUIET,
            seed,
            histories,
            judged_by: None,
        }
    }

    fn config(&self) -> MemoryConfig {
        static BROKERS: AtomicU64 = AtomicU64::new(0);
        let mut config = MemoryConfig {
            name: format!("liar-{}", BROKERS.fetch_add(1, Ordering::Relaxed)),
            partitions: 4,
            topology: anybroker_core::TopologyMode::Check,
            ..MemoryConfig::default()
        };
        (self.configure)(&mut config);
        config
    }
}

/// A broker in this process has none of its own that could be killed, but it can be stopped.
struct Pauses(Arc<World>);

#[async_trait::async_trait]
impl Faults for Pauses {
    async fn kill(&self) -> Result<(), String> {
        Err("it has no process of its own".into())
    }

    async fn restart(&self) -> Result<(), String> {
        self.resume().await
    }

    async fn pause(&self) -> Result<(), String> {
        self.0.pause();
        Ok(())
    }

    async fn resume(&self) -> Result<(), String> {
        self.0.resume();
        Ok(())
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

/// The root of a liar that breaks no property.
pub(super) fn case(name: &'static str) -> Root {
    Root::Case(name)
}
