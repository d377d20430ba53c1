//! What is remarkable about a catalogue.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::naming::is_imperative;
use super::{Catalogue, Consumption, Publication};

/// The size from which a payload belongs into a claim check, unless stated otherwise.
const LARGE: usize = 256 << 10;

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// An event is consumed, or a request answered, and nobody declares to publish or ask it there.
    NobodyPublishes,
    /// An event is published, and nobody declares to consume it there.
    NobodyConsumes,
    /// A request is asked, and nobody declares to answer it there.
    NobodyAnswers,
    /// Several services publish the same event.
    SeveralPublish,
    /// A version is published that a consumer does not know yet.
    NewerThanConsumer,
    /// Services wait for each other in a circle.
    SynchronousCycle,
    /// A service waits for one that waits for another.
    SynchronousChain,
    /// The name is a command.
    Imperative,
    /// The payload is larger than a claim check's threshold.
    Large,
    /// It has no version.
    NoVersion,
    /// It has no key, so that no order is kept.
    NoKey,
    /// Events lead back to the service that they come from. Often meant so: no warning.
    Cycle,
}

/// Something remarkable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// The event, request or services.
    pub about: String,
    /// In plain words.
    pub reason: String,
    /// Whether it is more than a note.
    pub warning: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.warning { "warning" } else { "note" };
        write!(f, "{word}: {}: {}", self.about, self.reason)
    }
}

fn warning(kind: FindingKind, about: impl Into<String>, reason: impl Into<String>) -> Finding {
    Finding { kind, about: about.into(), reason: reason.into(), warning: true }
}

impl Catalogue {
    /// Everything remarkable; sizes are compared to the claim check's usual threshold of 256 KiB.
    pub fn findings(&self) -> Vec<Finding> {
        self.findings_over(LARGE)
    }

    /// The same, with another threshold.
    pub fn findings_over(&self, bytes: usize) -> Vec<Finding> {
        let mut found = Vec::new();
        self.coupling(&mut found);
        self.requests(&mut found);
        self.shape(&mut found);
        self.publications().for_each(|(_, it)| event(it, bytes, &mut found));
        found.sort();
        found.dedup();
        found
    }

    fn coupling(&self, found: &mut Vec<Finding>) {
        let mut publishers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (service, it) in self.publications() {
            let services = publishers.entry(&it.event_type).or_default();
            if !services.contains(&service) {
                services.push(service);
            }
            let consumers: Vec<_> = self.consumptions().filter(|(_, to)| meets(it, to)).collect();
            if consumers.is_empty() {
                let reason = format!(
                    "{service} publishes it to `{}`, and nobody declares to consume it there",
                    it.topic
                );
                found.push(warning(FindingKind::NobodyConsumes, &it.event_type, reason));
            }
            for (consumer, to) in
                consumers.iter().filter(|(_, to)| to.version < it.version && to.version.is_some())
            {
                let (new, old) = (it.version.unwrap_or_default(), to.version.unwrap_or_default());
                let reason = format!(
                    "{service} publishes version {new}, {consumer} knows none after {old}: dead letters"
                );
                found.push(warning(FindingKind::NewerThanConsumer, &it.event_type, reason));
            }
        }
        for (event, services) in publishers.iter().filter(|(_, services)| services.len() > 1) {
            let reason = format!("{} all publish it: who owns its schema?", services.join(", "));
            found.push(warning(FindingKind::SeveralPublish, *event, reason));
        }
        for (service, it) in self.consumptions() {
            if self.publications().any(|(_, from)| meets(from, it)) {
                continue;
            }
            let elsewhere = self.publications().find(|(_, from)| from.event_type == it.event_type);
            let but = elsewhere
                .map_or(String::new(), |(other, from)| format!("; {other} publishes it to `{}`", from.topic));
            let reason = format!(
                "{service} consumes it from `{}`, and nobody declares to publish it there{but}",
                it.topic
            );
            found.push(warning(FindingKind::NobodyPublishes, &it.event_type, reason));
        }
    }

    fn requests(&self, found: &mut Vec<Finding>) {
        let all = || self.services.iter();
        for (service, it) in all().flat_map(|(name, service)| service.asks.iter().map(move |it| (name, it))) {
            if !all().any(|(_, other)| {
                other.answers.iter().any(|to| (&to.request, &to.topic) == (&it.request, &it.topic))
            }) {
                let reason =
                    format!("{service} asks it on `{}`, and nobody declares to answer it there", it.topic);
                found.push(warning(FindingKind::NobodyAnswers, &it.request, reason));
            }
        }
        for (service, it) in
            all().flat_map(|(name, service)| service.answers.iter().map(move |it| (name, it)))
        {
            if !all().any(|(_, other)| {
                other.asks.iter().any(|to| (&to.request, &to.topic) == (&it.request, &it.topic))
            }) {
                let reason =
                    format!("{service} answers it on `{}`, and nobody declares to ask it there", it.topic);
                found.push(warning(FindingKind::NobodyPublishes, &it.request, reason));
            }
        }
    }

    fn shape(&self, found: &mut Vec<Finding>) {
        let synchronous = self.cycles(true);
        for cycle in &synchronous {
            let reason = "each waits for the next, in a circle: a request can wait for itself";
            found.push(warning(FindingKind::SynchronousCycle, circle(cycle), reason));
        }
        for cycle in self.cycles(false).difference(&synchronous) {
            let reason = "what they publish leads back to them; it must come to an end by itself";
            let finding = warning(FindingKind::Cycle, circle(cycle), reason);
            found.push(Finding { warning: false, ..finding });
        }
        for chain in self.chains() {
            let reason =
                "each waits for the next: the first is only there when all are, and as slow as their sum";
            found.push(warning(FindingKind::SynchronousChain, chain.join(" → "), reason));
        }
    }

    pub(super) fn publications(&self) -> impl Iterator<Item = (&str, &Publication)> {
        self.services.iter().flat_map(|(name, service)| service.publishes.iter().map(move |it| (&**name, it)))
    }

    pub(super) fn consumptions(&self) -> impl Iterator<Item = (&str, &Consumption)> {
        self.services.iter().flat_map(|(name, service)| service.consumes.iter().map(move |it| (&**name, it)))
    }
}

fn meets(from: &Publication, to: &Consumption) -> bool {
    (&from.event_type, &from.topic) == (&to.event_type, &to.topic)
}

fn circle(cycle: &[String]) -> String {
    let back = cycle.first().into_iter();
    cycle.iter().chain(back).map(String::as_str).collect::<Vec<_>>().join(" → ")
}

fn event(it: &Publication, bytes: usize, found: &mut Vec<Finding>) {
    let mut add = |kind, reason: String| found.push(warning(kind, &it.event_type, reason));
    if is_imperative(&it.event_type) {
        add(
            FindingKind::Imperative,
            "it is named like a command; an event is a fact, in the past tense".to_owned(),
        );
    }
    if let Some(size) = it.size.filter(|size| *size > bytes) {
        let reason = format!("its payload of up to {size} bytes is over {bytes}: use a claim check");
        add(FindingKind::Large, reason);
    }
    if it.version.is_none_or(|version| version == 0) {
        add(FindingKind::NoVersion, "it has no version, so that its schema cannot change".to_owned());
    }
    if it.key.is_none() {
        add(FindingKind::NoKey, format!("it has no key on `{}`, so that no order is kept", it.topic));
    }
}
