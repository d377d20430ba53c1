//! What came out of scaling: what each step costs, beside the first one of its dimension.

mod html;
mod text;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::{Row, now};
use crate::contender::Contender;
use crate::contenders::Field;
use crate::harness::{Dimension, Figures, Options, Spread};

/// A cost is flat if it is not more than so many times that of the first step.
pub const FLAT: f64 = 1.5;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scaling {
    /// The form of this document.
    pub version: u32,
    pub date: String,
    pub machine: Machine,
    pub broker: String,
    /// What is the usual, from which each step differs in one thing.
    pub settings: String,
    /// What anybroker does at each step.
    pub way: String,
    pub steps: Vec<Step>,
    pub left_out: Vec<LeftOut>,
}

/// One step.
#[derive(Debug, Serialize, Deserialize)]
pub struct Step {
    pub dimension: Dimension,
    pub step: u64,
    #[serde(flatten)]
    pub row: Row,
    /// Against the first step of the same rounds.
    pub against_first: Option<Growth>,
    /// Those costs whose median ratio is more than [`FLAT`].
    pub not_flat: Vec<Cost>,
}

/// How many times those of the first step.
#[derive(Debug, Serialize, Deserialize)]
pub struct Growth {
    /// The client's processor time a message.
    pub cpu: Spread,
    /// The time that a message takes: how many times fewer there are in a second.
    pub time: Spread,
    /// The most memory of the client's process.
    pub memory: Spread,
}

/// What may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cost {
    Cpu,
    Time,
    Memory,
}

/// A step that was not asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeftOut {
    pub dimension: Dimension,
    pub step: u64,
}

impl Scaling {
    /// An empty report of a run that begins now.
    pub fn new(options: &Options, field: &Field, ours: &Contender) -> Self {
        let Options { rounds, keys, partitions, prefetch, .. } = options;
        let partitions = if field.partitioned { format!("{partitions} partitions, ") } else { String::new() };
        let mut settings = format!(
            "{}; {rounds} interleaved rounds; {keys} keys, {partitions}no backlog, one subscription; prefetch {prefetch}",
            field.settings
        );
        if field.embedded {
            settings += "; the broker is in the process: its processor time and its memory are the client's";
        }
        Scaling {
            version: 1,
            date: now(),
            machine: Machine::this(),
            broker: field.name.to_owned(),
            settings,
            way: ours.way.to_owned(),
            steps: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Says what was not asked for.
    pub fn leave_out(&mut self, dimension: Dimension, steps: Vec<u64>) {
        self.left_out.extend(steps.into_iter().map(|step| LeftOut { dimension, step }));
    }

    /// Adds the steps of one dimension, operation and size, the first one first.
    pub fn add(&mut self, dimension: Dimension, steps: Vec<(u64, Row)>) {
        let first = steps.first().map(|(_, row)| row.rounds.clone()).unwrap_or_default();
        self.steps.extend(steps.into_iter().map(|(step, row)| {
            let against_first = Growth::of(&row.rounds, &first);
            let not_flat = against_first.as_ref().map(Growth::not_flat).unwrap_or_default();
            Step { dimension, step, row, against_first, not_flat }
        }));
    }

    /// The steps of each dimension, operation and size, in their order.
    fn groups(&self) -> impl Iterator<Item = &[Step]> {
        let of = |step: &Step| (step.dimension, step.row.operation, step.row.size);
        self.steps.chunk_by(move |a, b| of(a) == of(b))
    }
}

impl Growth {
    fn of(rounds: &[Figures], first: &[Figures]) -> Option<Self> {
        let times = |ratio: fn(&Figures, &Figures) -> f64| {
            Spread::of(rounds.iter().zip(first).map(|(it, first)| ratio(it, first)))
        };
        Some(Growth {
            cpu: times(|it, first| it.cpu_per_message() / first.cpu_per_message())?,
            time: times(|it, first| first.per_second() / it.per_second())?,
            memory: times(|it, first| it.peak_bytes as f64 / first.peak_bytes as f64)?,
        })
    }

    fn of_cost(&self, cost: Cost) -> Spread {
        match cost {
            Cost::Cpu => self.cpu,
            Cost::Time => self.time,
            Cost::Memory => self.memory,
        }
    }

    fn not_flat(&self) -> Vec<Cost> {
        let all = [Cost::Cpu, Cost::Time, Cost::Memory];
        all.into_iter().filter(|cost| self.of_cost(*cost).median > FLAT).collect()
    }
}

impl Cost {
    fn as_str(self) -> &'static str {
        match self {
            Cost::Cpu => "client CPU",
            Cost::Time => "time",
            Cost::Memory => "memory",
        }
    }
}

/// What is plainly to be said of a group: what failed, what is not flat, or that all of it is flat.
fn judgement(steps: &[Step]) -> Vec<String> {
    let mut said = Vec::new();
    for step in steps {
        let name = step.dimension.step(step.step);
        if let Some(failure) = &step.row.failure {
            said.push(format!("{name}: not measured: {failure}"));
        }
        if let Some(growth) = step.against_first.as_ref().filter(|_| !step.not_flat.is_empty()) {
            let one = |cost: &Cost| format!("{} {:.2} times", cost.as_str(), growth.of_cost(*cost).median);
            let costs: Vec<_> = step.not_flat.iter().map(one).collect();
            said.push(format!("not flat: {name}: {} the first step's", costs.join(", ")));
        }
        if step.against_first.is_none() && step.row.failure.is_none() {
            said.push(format!("{name}: not judged, since the first step was not measured"));
        }
    }
    if said.is_empty() {
        said.push(format!("flat: no step costs more than {FLAT} times the first"));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::field;
    use crate::task::Operation;

    /// Seconds, processor seconds, bytes.
    type Round = (f64, f64, u64);
    /// A step, its rounds, and why it failed.
    type Given<'a> = (u64, &'a [Round], Option<&'a str>);

    fn rounds(all: &[Round]) -> Vec<Figures> {
        let one = |&(seconds, cpu_seconds, peak_bytes): &Round| Figures {
            messages: 1_000,
            seconds,
            cpu_seconds,
            broker_cpu_seconds: None,
            allocations: 0,
            allocated_bytes: 0,
            peak_bytes,
            latency: None,
        };
        all.iter().map(one).collect()
    }

    fn report(steps: &[Given<'_>]) -> Scaling {
        let options = Options {
            url: String::new(),
            operations: vec![],
            sizes: vec![128],
            rounds: 3,
            messages: None,
            keys: 100,
            partitions: 4,
            prefetch: 1_000,
            rate: 1,
            seconds: 1,
            peers: false,
            only: vec![],
        };
        let field = field("memory://").unwrap();
        let ours = field.contenders[0];
        let mut report = Scaling::new(&options, &field, &ours);
        let row = |failure: Option<&str>, all| {
            Row::new(&ours, Operation::Publish, 128, rounds(all), failure.map(str::to_owned))
        };
        let steps = steps.iter().map(|(step, all, failure)| (*step, row(*failure, all)));
        report.add(Dimension::Keys, steps.collect());
        report
    }

    #[test]
    fn flat_is_what_costs_no_more_than_one_and_a_half_times_the_first() {
        let report = report(&[(1, &[(1.0, 1.0, 100)], None), (10, &[(1.5, 1.5, 150)], None)]);
        assert!(report.steps.iter().all(|step| step.not_flat.is_empty()));
        assert_eq!(judgement(&report.steps), ["flat: no step costs more than 1.5 times the first"]);
        assert!(report.text().contains("flat: no step") && report.html().contains("flat: no step"));
    }

    #[test]
    fn each_cost_that_is_not_flat_is_named_at_its_step() {
        let report = report(&[
            (1, &[(1.0, 1.0, 100)], None),
            (10, &[(1.0, 1.6, 100)], None),
            (100, &[(2.0, 1.0, 100)], None),
            (1_000, &[(1.0, 1.0, 900)], None),
        ]);
        let not_flat: Vec<_> = report.steps.iter().map(|step| step.not_flat.clone()).collect();
        assert_eq!(not_flat, [vec![], vec![Cost::Cpu], vec![Cost::Time], vec![Cost::Memory]]);
        let line = "not flat: keys 1,000: memory 9.00 times the first step's";
        assert_eq!(judgement(&report.steps)[2], line);
        assert!(report.text().contains(line) && report.html().contains(line));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["steps"][1]["not_flat"], serde_json::json!(["cpu"]));
    }

    #[test]
    fn ratios_are_of_the_same_round_and_one_round_does_not_decide() {
        let first: &[_] = &[(1.0, 1.0, 100), (2.0, 2.0, 100), (4.0, 4.0, 100)];
        let report =
            report(&[(1, first, None), (10, &[(1.1, 1.1, 100), (2.2, 2.2, 100), (40.0, 40.0, 100)], None)]);
        assert!(report.steps[1].not_flat.is_empty(), "{:?}", report.steps[1].against_first);
    }

    #[test]
    fn what_could_not_be_measured_is_said() {
        let report = report(&[(1, &[], Some("no such topic")), (10, &[(1.0, 1.0, 100)], None)]);
        let expected = [
            "keys 1: not measured: no such topic",
            "keys 10: not judged, since the first step was not measured",
        ];
        assert_eq!(judgement(&report.steps), expected);
    }

    #[test]
    fn what_was_left_out_is_said() {
        let mut report = report(&[(1, &[(1.0, 1.0, 100)], None)]);
        report.leave_out(Dimension::Backlog, vec![10_000_000]);
        assert!(report.text().contains("left out by --most: backlog 10,000,000"), "{}", report.text());
        assert!(report.html().contains("left out by --most: backlog 10,000,000"));
    }
}
