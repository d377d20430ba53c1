//! A report as text for a terminal.

use std::fmt;

use super::property::Property;
use super::report::{Finding, Report, Verdict, Violation};

const NANOS_PER_MILLI: f64 = 1e6;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name().replace('_', " "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<5} {:<36} {:<15} {:>13}  violations", "", "property", "verdict", "opportunities")?;
        for (property, finding) in &self.properties {
            row(f, *property, finding)?;
        }
        for (property, finding) in &self.properties {
            details(f, *property, finding)?;
        }
        write!(f, "\nverdict: {}", self.verdict)
    }
}

fn row(f: &mut fmt::Formatter<'_>, property: Property, finding: &Finding) -> fmt::Result {
    let name = property.words();
    write!(f, "{property:<5} {name:<36} {:<15}", finding.verdict)?;
    if finding.verdict != Verdict::NotPromised {
        write!(f, " {:>13}  {}", finding.opportunities, finding.violation_count())?;
    }
    writeln!(f)
}

fn details(f: &mut fmt::Formatter<'_>, property: Property, finding: &Finding) -> fmt::Result {
    if let Some(reason) = &finding.reason {
        writeln!(f, "\n{property} is inconclusive: {reason}")?;
    }
    for violation in &finding.violations {
        counterexample(f, property, violation)?;
    }
    match finding.violation_count() - finding.violations.len() as u64 {
        0 => Ok(()),
        more => writeln!(f, "\n{property}: {more} more"),
    }
}

fn counterexample(f: &mut fmt::Formatter<'_>, property: Property, violation: &Violation) -> fmt::Result {
    writeln!(f, "\n{property}: {}", violation.explanation)?;
    for step in &violation.timeline {
        writeln!(
            f,
            "  line {:<8} {:>14.3} ms  {}",
            step.line,
            step.time as f64 / NANOS_PER_MILLI,
            step.text
        )?;
    }
    Ok(())
}
