//! Promises that nothing in a configuration can put to the test. They are reported as such, with the reason.

use super::report::{PropertyReport, PropertyVerdict, RunReport};
use crate::cases::Context;
use crate::properties::Property;

/// Marks what could not be exercised, whatever the cases do.
pub(super) fn excuse(report: &mut RunReport, context: &Context) {
    if let (Some(found), Some(reason)) = (report.properties.get_mut(&Property::P17), unbroken(context)) {
        not_applicable(found, reason);
    }
}

/// Why no fault is possible here; progress is what comes after one.
fn unbroken(context: &Context) -> Option<String> {
    let Context { spawn_member, detour, faults, .. } = context;
    let (member, way, process) =
        (spawn_member.as_ref().err()?, detour.as_ref().err()?, faults.as_ref().err()?);
    let mut reasons = vec![*process, way, member];
    reasons.dedup();
    Some(format!("no fault is possible here ({})", reasons.join("; ")))
}

fn not_applicable(found: &mut PropertyReport, reason: String) {
    if found.verdict == PropertyVerdict::NotExercised || found.verdict == PropertyVerdict::Inconclusive {
        found.verdict = PropertyVerdict::NotApplicable;
        found.reason = Some(reason);
    }
}
