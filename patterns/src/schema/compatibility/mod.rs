//! Whether what one version of a schema writes, another can read.

mod alternatives;
mod bounds;
mod finding;
mod flat;
mod object;
mod reading;
mod report;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use finding::{Finding, Rule};
pub use report::{Changed, Compared, Direction, Report, Verdict};

use super::registry::differences;
use super::{Schema, Upcasters};
use reading::Reading;

/// Whether there is a way from a version of a type to another.
type Upcast = Arc<dyn Fn(&str, u32, u32) -> bool + Send + Sync>;

/// What is to be checked of the schemas of a registry: the newest version of each type against the versions before it.
///
/// The question is whether every payload that the writer's schema describes is one that the reader's describes too, with
/// two allowances, as deserializers have them: a writer writes only the fields that it declares (unless it has an explicit
/// `additionalProperties`), and a required field that is missing is read where its schema has a `default`. What the check
/// cannot decide (regular expressions that differ, `not`, `if`, references to other files) is a finding
/// [`NotJudged`](Rule::NotJudged), and does not hold.
#[derive(Clone)]
pub struct Check {
    directions: Vec<Direction>,
    last: usize,
    upcast: Option<Upcast>,
    published: Vec<Schema>,
}

impl Check {
    /// The newest version reads what all versions before it wrote: what a store, a replay and a late consumer need.
    pub fn backward() -> Self {
        Check { directions: vec![Direction::Backward], last: usize::MAX, upcast: None, published: Vec::new() }
    }

    /// All versions before it read what the newest writes: consumers that are updated after their publisher.
    pub fn forward() -> Self {
        Check { directions: vec![Direction::Forward], ..Self::backward() }
    }

    /// Both.
    pub fn full() -> Self {
        Check { directions: vec![Direction::Backward, Direction::Forward], ..Self::backward() }
    }

    /// Only the last so many versions before the newest count.
    pub fn last(mut self, versions: usize) -> Self {
        self.last = versions;
        self
    }

    /// Where a chain of upcasters leads to the newest version, it reads the old one whatever the schemas say.
    pub fn upcasters(self, upcasters: &Upcasters) -> Self {
        let upcasters = upcasters.clone();
        self.upcast(move |event_type, from, to| upcasters.reach(event_type, from, to))
    }

    /// The same, by whatever knows: type, old version, newest version.
    pub fn upcast(mut self, reach: impl Fn(&str, u32, u32) -> bool + Send + Sync + 'static) -> Self {
        self.upcast = Some(Arc::new(reach));
        self
    }

    /// These schemas have been published, and must all be there still, unchanged.
    pub fn published(mut self, schemas: Vec<Schema>) -> Self {
        self.published = schemas;
        self
    }

    /// Checks all types.
    pub fn run(&self, schemas: &[Schema]) -> Report {
        let mut types: BTreeMap<&str, Vec<&Schema>> = BTreeMap::new();
        for schema in schemas {
            types.entry(&schema.event_type).or_default().push(schema);
        }
        let mut report = Report::default();
        for versions in types.values_mut() {
            versions.sort_by_key(|schema| schema.version);
            report.types += 1;
            let Some((newest, before)) = versions.split_last() else { continue };
            for older in before.iter().rev().take(self.last) {
                report.compared.extend(self.directions.iter().map(|it| self.compare(*it, newest, older)));
            }
        }
        report.changed = self.published.iter().filter_map(|schema| changed(schema, schemas)).collect();
        report
    }

    fn compare(&self, direction: Direction, newest: &Schema, older: &Schema) -> Compared {
        let (reader, writer) = match direction {
            Direction::Backward => (newest, older),
            Direction::Forward => (older, newest),
        };
        let findings = Reading::of(reader, writer);
        let upcast = || {
            let reach = self.upcast.as_ref().filter(|_| direction == Direction::Backward);
            reach.is_some_and(|reach| reach(&newest.event_type, older.version, newest.version))
        };
        let verdict = if findings.is_empty() {
            Verdict::Compatible
        } else if upcast() {
            Verdict::Upcast
        } else if findings.iter().all(|finding| finding.rule == Rule::NotJudged) {
            Verdict::NotJudged
        } else {
            Verdict::Incompatible
        };
        Compared {
            event_type: newest.event_type.clone(),
            newest: newest.version,
            older: older.version,
            direction,
            verdict,
            findings,
        }
    }
}

fn changed(published: &Schema, schemas: &[Schema]) -> Option<Changed> {
    let is_it =
        |schema: &&Schema| (&schema.event_type, schema.version) == (&published.event_type, published.version);
    let now = schemas.iter().find(is_it);
    let differences = now.map(|now| differences(&published.document, &now.document));
    if differences.as_ref().is_some_and(Vec::is_empty) {
        return None;
    }
    let Schema { event_type, version, .. } = published.clone();
    Some(Changed { event_type, version, differences })
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("directions", &self.directions)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}
