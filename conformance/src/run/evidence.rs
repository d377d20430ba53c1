//! Gathers what the histories of all cases show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Options;
use super::excuses::excuse;
use super::minima::{IN_FLIGHT, minimum};
use super::report::{
    CaseReport, CaseVerdict, GuaranteeReport, PropertyReport, PropertyVerdict, RunReport, ViolationReport,
};
use super::seen::{Seen, seen};
use crate::plan;
use crate::properties::{self, Finding, Property, Verdict};
use crate::recorder::Recorder;
use crate::subject::Subject;

/// The recorders of one case, in the order in which it began to record.
pub type Histories = Arc<Mutex<Vec<Arc<Recorder>>>>;

/// What the cases of a run have shown so far.
#[derive(Debug, Default)]
pub struct Evidence {
    gathered: Mutex<Gathered>,
}

#[derive(Debug, Default)]
struct Gathered {
    properties: BTreeMap<Property, PropertyReport>,
    cases: Vec<CaseReport>,
    seen: Seen,
}

impl Evidence {
    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for the recorders of a case.
    pub fn histories(&self) -> Histories {
        Histories::default()
    }

    /// Adds the outcome of a case.
    pub fn case(&self, report: CaseReport) {
        self.lock().cases.push(report);
    }

    /// Brings the cases into an order.
    pub(super) fn sort<K: Ord>(&self, by: impl FnMut(&CaseReport) -> K) {
        self.lock().cases.sort_by_key(by);
    }

    /// Adds what the histories of a case show.
    pub fn conclude(&self, case: &str, histories: Histories) {
        let recorders = std::mem::take(&mut *histories.lock().unwrap_or_else(PoisonError::into_inner));
        for recorder in recorders {
            match crate::history::read(std::io::BufReader::new(&recorder.history()[..])) {
                Ok(history) => {
                    let (report, seen) = (properties::check(&history), seen(case, &history));
                    self.lock().add(case, report, seen);
                }
                Err(error) => tracing::error!(%error, case, "what was recorded does not read"),
            }
        }
    }

    /// The report of everything so far.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn report(&self, subject: &Subject, options: &Options) -> RunReport {
        let guarantees = subject.guarantees().await;
        let gathered = self.lock();
        let mut report = RunReport::new(subject, options);
        if let Ok(guarantees) = &guarantees {
            report.version = guarantees.version.clone();
            report.backend = guarantees.backend.to_owned();
            report.guarantees = guarantees.rows().iter().map(GuaranteeReport::from).collect();
        }
        report.properties = gathered.properties.clone();
        // What is promised and no history was held to was not exercised.
        for property in guarantees.iter().flat_map(plan::promised) {
            report.properties.entry(property).or_insert_with(|| PropertyReport::new(minimum(property)));
        }
        report.cases = gathered.cases.clone();
        report.count(&gathered.seen.faults);
        report.published = gathered.seen.published;
        report.delivered = gathered.seen.delivered;
        report.redeliveries = gathered.seen.redeliveries;
        report.unknown_publishes = gathered.seen.unknown;
        excuse(&mut report, &subject.context(options, Histories::default()));
        report.conclude();
        report
    }
}

/// What an earlier report says, to be added to.
impl From<&RunReport> for Evidence {
    fn from(report: &RunReport) -> Self {
        let seen = Seen {
            faults: report.fault_list.clone(),
            redeliveries: report.redeliveries,
            unknown: report.unknown_publishes,
            published: report.published,
            delivered: report.delivered,
        };
        let gathered = Gathered { properties: report.properties.clone(), cases: report.cases.clone(), seen };
        Evidence { gathered: Mutex::new(gathered) }
    }
}

impl Gathered {
    fn add(&mut self, case: &str, report: properties::Report, seen: Seen) {
        for (property, finding) in report.properties {
            if finding.verdict != Verdict::NotPromised {
                let gathered =
                    self.properties.entry(property).or_insert_with(|| PropertyReport::new(minimum(property)));
                gathered.add(case, &finding);
            }
        }
        self.seen.faults.extend(seen.faults);
        self.seen.redeliveries += seen.redeliveries;
        self.seen.unknown += seen.unknown;
        self.seen.published += seen.published;
        self.seen.delivered += seen.delivered;
    }
}

impl PropertyReport {
    fn new(minimum: u64) -> Self {
        PropertyReport {
            verdict: PropertyVerdict::NotExercised,
            opportunities: 0,
            minimum,
            cases: Vec::new(),
            violations: Vec::new(),
            reason: None,
        }
    }

    /// Adds what one history of a case shows. One that does not say is no evidence: what others show counts.
    fn add(&mut self, case: &str, finding: &Finding) {
        let says = finding.verdict != Verdict::Inconclusive;
        if says && finding.opportunities > 0 {
            self.opportunities += finding.opportunities;
            if !self.cases.iter().any(|each| each == case) {
                self.cases.push(case.to_owned());
            }
        }
        let own = match finding.verdict {
            Verdict::Violation => PropertyVerdict::Violation,
            Verdict::Stalled => PropertyVerdict::Stalled,
            _ if self.opportunities >= self.minimum => PropertyVerdict::Pass,
            Verdict::Inconclusive => PropertyVerdict::Inconclusive,
            _ => PropertyVerdict::NotExercised,
        };
        // Nothing replaces a broken promise.
        let broken = |verdict| verdict <= PropertyVerdict::Stalled;
        self.verdict = if broken(self.verdict) { self.verdict.min(own) } else { own };
        self.reason = match self.verdict {
            PropertyVerdict::Pass => None,
            _ => self.reason.take().or_else(|| finding.reason.clone()),
        };
        let room = ViolationReport::LISTED.saturating_sub(self.violations.len());
        self.violations.extend(finding.violations.iter().take(room).map(|it| ViolationReport::of(case, it)));
    }
}

impl RunReport {
    /// Settles the verdict from what has been gathered.
    pub(super) fn conclude(&mut self) {
        use super::report::RunVerdict;
        self.unmet = Vec::new();
        for (property, found) in &self.properties {
            if found.verdict == PropertyVerdict::NotExercised {
                let (got, least) = (found.opportunities, found.minimum);
                self.unmet.push(format!("{property} was exercised {got} times, and {least} is the least"));
            }
        }
        for fault in self.fault_list.iter().filter(|fault| fault.counts() && fault.in_flight < IN_FLIGHT) {
            let (kind, case, found) = (&fault.kind, &fault.case, fault.in_flight);
            self.unmet.push(format!(
                "{kind} in {case} found {found} messages in flight, and {IN_FLIGHT} is the least"
            ));
        }
        let has = |verdict| self.properties.values().any(|found| found.verdict == verdict);
        let case = |verdict| self.cases.iter().any(|case| case.verdict == verdict);
        self.verdict = match () {
            () if has(PropertyVerdict::Violation) => RunVerdict::Violation,
            () if has(PropertyVerdict::Stalled) => RunVerdict::Stalled,
            () if case(CaseVerdict::Failed) => RunVerdict::Failed,
            () if has(PropertyVerdict::Inconclusive) => RunVerdict::Inconclusive,
            () if !self.unmet.is_empty() || self.cases.is_empty() => RunVerdict::NotExercised,
            () if self.cases.iter().all(|case| case.verdict == CaseVerdict::NotRun) => RunVerdict::NotRun,
            () => RunVerdict::Pass,
        };
    }
}
