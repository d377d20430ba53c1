//! What came out: rows, their comparison with the best hand-written code, a table, a page.

mod html;
mod machine;
mod scaling;
mod text;

use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Kind};
use crate::contenders::Field;
use crate::harness::{Figures, Options, Spread};
use crate::task::Operation;
use machine::Machine;
pub use scaling::{Cost, FLAT, Growth, LeftOut, Scaling, Step};
pub use text::thousands;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// The form of this document.
    pub version: u32,
    pub date: String,
    pub machine: Machine,
    pub broker: String,
    /// What is the same for all.
    pub settings: String,
    pub rows: Vec<Row>,
}

/// The time, in RFC 3339.
fn now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

/// One contender at one operation and size.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    pub operation: Operation,
    pub size: usize,
    pub contender: String,
    pub kind: Kind,
    pub way: String,
    pub messages: u64,
    pub per_second: Option<Spread>,
    /// Microseconds of the client's processor a message.
    pub cpu: Option<Spread>,
    /// Microseconds of the broker's processor a message.
    pub broker_cpu: Option<Spread>,
    pub allocations: Option<Spread>,
    /// Bytes of the client's process at most.
    pub peak_bytes: Option<Spread>,
    /// Microseconds.
    pub p50: Option<Spread>,
    pub p99: Option<Spread>,
    pub p999: Option<Spread>,
    /// Against the best hand-written contender, round by round.
    pub against_best: Option<Against>,
    pub failure: Option<String>,
    pub rounds: Vec<Figures>,
}

/// Ratios to the best hand-written contender of the same rounds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Against {
    pub best: String,
    pub throughput: Spread,
    pub cpu: Spread,
    pub p99: Option<Spread>,
}

impl Row {
    /// A row of measured rounds.
    pub fn new(
        contender: &Contender,
        operation: Operation,
        size: usize,
        rounds: Vec<Figures>,
        failure: Option<String>,
    ) -> Self {
        let of = |value: &dyn Fn(&Figures) -> Option<f64>| Spread::of(rounds.iter().filter_map(value));
        let late = |value: fn(&crate::harness::Latencies) -> f64| of(&|it| it.latency.as_ref().map(value));
        Row {
            operation,
            size,
            contender: contender.name.to_owned(),
            kind: contender.kind,
            way: contender.way.to_owned(),
            messages: rounds.first().map_or(0, |it| it.messages),
            per_second: of(&|it| Some(it.per_second())),
            cpu: of(&|it| Some(it.cpu_per_message())),
            broker_cpu: of(&|it| it.broker_cpu_per_message()),
            allocations: of(&|it| Some(it.allocations_per_message())),
            peak_bytes: of(&|it| Some(it.peak_bytes as f64)),
            p50: late(|it| it.p50),
            p99: late(|it| it.p99),
            p999: late(|it| it.p999),
            against_best: None,
            failure,
            rounds,
        }
    }
}

impl Report {
    /// An empty report of a run that begins now.
    pub fn new(options: &Options, field: &Field) -> Self {
        let Options { rounds, keys, partitions, prefetch, rate, .. } = options;
        let partitions = if field.partitioned { format!("{partitions} partitions, ") } else { String::new() };
        let settings = format!(
            "{}; {rounds} interleaved rounds, {keys} keys, {partitions}prefetch {prefetch}; latency at {rate}/s",
            field.settings
        );
        Report {
            version: 1,
            date: now(),
            machine: Machine::this(),
            broker: field.name.to_owned(),
            settings,
            rows: Vec::new(),
        }
    }

    /// Compares each row with the best hand-written one of its operation and size.
    pub fn compare(&mut self) {
        for index in 0..self.rows.len() {
            let against = self.best(index).and_then(|best| against(&self.rows[index], &self.rows[best]));
            self.rows[index].against_best = against;
        }
    }

    /// The best hand-written contender for the row: the fastest, or the one with the lowest p99.
    fn best(&self, row: usize) -> Option<usize> {
        let row = &self.rows[row];
        let rivals = self.rows.iter().enumerate().filter(|(_, it)| {
            it.kind.is_tuned_by_hand()
                && (it.operation, it.size) == (row.operation, row.size)
                && it.failure.is_none()
        });
        let merit = |it: &Row| match it.operation {
            Operation::Latency => it.p99.map(|p99| -p99.median),
            _ => it.per_second.map(|it| it.median),
        };
        let rivals = rivals.filter_map(|(index, it)| Some((index, merit(it)?)));
        rivals.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index)
    }
}

fn against(row: &Row, best: &Row) -> Option<Against> {
    let pairs = || row.rounds.iter().zip(&best.rounds);
    Some(Against {
        best: best.contender.clone(),
        throughput: Spread::of(pairs().map(|(it, best)| it.per_second() / best.per_second()))?,
        cpu: Spread::of(pairs().map(|(it, best)| it.cpu_per_message() / best.cpu_per_message()))?,
        p99: Spread::of(pairs().filter_map(|(it, best)| Some(it.latency?.p99 / best.latency?.p99))),
    })
}
