//! Whether a message costs the same with much of something as with little of it: the steps of one dimension take turns, what else
//! there is held at the usual.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::child::{DELETE, FILL};
use super::plan::{Options, task};
use super::rounds::{Outcome, Turn, child, interleave, unique};
use crate::Result;
use crate::contender::Kind;
use crate::contenders::Field;
use crate::progress::Progress;
use crate::report::{Row, Scaling, thousands};
use crate::task::{Operation, Task};

/// What there is more and more of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Dimension {
    /// Keys of the messages, in turn.
    Keys,
    /// Partitions of the topic.
    Partitions,
    /// Messages that lie in front of those that pass.
    Backlog,
    /// Topics published to and consumed at once by one process.
    Subscriptions,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Dimension; 4] =
        [Dimension::Keys, Dimension::Partitions, Dimension::Backlog, Dimension::Subscriptions];

    /// Those that a broker has.
    pub fn of(field: &Field) -> Vec<Dimension> {
        let there = |it: &Dimension| match it {
            Dimension::Partitions => field.partitioned,
            Dimension::Backlog => field.stores,
            Dimension::Keys | Dimension::Subscriptions => true,
        };
        Dimension::ALL.into_iter().filter(there).collect()
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Dimension::Keys => "keys",
            Dimension::Partitions => "partitions",
            Dimension::Backlog => "backlog",
            Dimension::Subscriptions => "subscriptions",
        }
    }

    /// A step of it in words.
    pub fn step(self, step: u64) -> String {
        format!("{} {}", self.as_str(), thousands(step))
    }

    /// The least comes first: the others are compared with it.
    fn steps(self) -> &'static [u64] {
        match self {
            Dimension::Keys | Dimension::Subscriptions => &[1, 10, 100, 1_000],
            Dimension::Partitions => &[1, 4, 16, 64],
            Dimension::Backlog => &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
        }
    }

    /// A backlog that is consumed is soon none: behind one, messages are published and consumed in portions, so that it stays.
    fn operations(self, field: &Field) -> &'static [Operation] {
        match self {
            Dimension::Backlog => &[Operation::Through],
            _ if !field.stores => &[Operation::Publish, Operation::Through],
            _ => &[Operation::Publish, Operation::Consume],
        }
    }
}

/// No step of the dimension is larger: `backlog=100000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most(Dimension, u64);

impl FromStr for Most {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, most) = text.split_once('=').ok_or("it is DIMENSION=N, for instance backlog=100000")?;
        let dimension = Dimension::ALL.into_iter().find(|it| it.as_str() == name);
        let dimension = dimension.ok_or("the dimensions are keys, partitions, backlog and subscriptions")?;
        let least = dimension.steps()[0];
        match most.parse() {
            Ok(most) if most >= least => Ok(Most(dimension, most)),
            _ => Err(format!("the first step of {name} is {least}: at least that")),
        }
    }
}

/// What is scaled.
#[derive(Clone, Debug)]
pub struct Scale {
    pub dimensions: Vec<Dimension>,
    pub most: Vec<Most>,
}

impl Scale {
    /// The steps that are taken, and those that are left out.
    fn steps(&self, dimension: Dimension) -> (Vec<u64>, Vec<u64>) {
        let most = self.most.iter().filter(|most| most.0 == dimension).map(|most| most.1).min();
        dimension.steps().iter().partition(|step| most.is_none_or(|most| **step <= most))
    }
}

/// A topic of a thousand has so many messages of its own, so that its batches are those of one topic.
const OF_A_TOPIC: u64 = 1_000;

/// Runs all of it.
///
/// # Errors
/// If nothing can be run at all. What a step fails with is in its row.
pub async fn scale(options: &Options, scale: &Scale, field: &Field, progress: &Progress) -> Result<Scaling> {
    let ours =
        field.contenders.iter().find(|it| it.kind == Kind::Ours).ok_or("anybroker is not measured here")?;
    let there = Dimension::of(field);
    if let Some(missing) = scale.dimensions.iter().find(|it| !there.contains(it)) {
        return Err(format!("there are no steps of {} on {}", missing.as_str(), field.name).into());
    }
    let mut report = Scaling::new(options, field, ours);
    for dimension in &scale.dimensions {
        let (steps, left_out) = scale.steps(*dimension);
        report.leave_out(*dimension, left_out);
        for operation in dimension.operations(field) {
            for size in &options.sizes {
                let usual = task(options, field, *operation, *size, ours);
                let at = |step: &u64| at(&usual, *dimension, *step, options.messages.is_some());
                let turns = ready(*dimension, &steps, steps.iter().map(at).collect(), field, progress).await;
                let outcomes = interleave(&turns, options.rounds, progress).await;
                clear(turns).await;
                let row = |it: Outcome| Row::new(ours, *operation, *size, it.rounds, it.failure);
                report.add(*dimension, steps.iter().copied().zip(outcomes.into_iter().map(row)).collect());
            }
        }
    }
    Ok(report)
}

/// The usual task at a step.
fn at(usual: &Task, dimension: Dimension, step: u64, stated: bool) -> Task {
    let mut task = usual.clone();
    let few = u32::try_from(step).unwrap_or(u32::MAX);
    match dimension {
        Dimension::Keys => task.keys = few,
        Dimension::Partitions => task.partitions = few,
        Dimension::Backlog => task.backlog = step,
        Dimension::Subscriptions => {
            task.subscriptions = few;
            if !stated {
                task.messages = task.messages.max(OF_A_TOPIC * step);
                task.warm_up = task.messages.div_ceil(10);
            }
        }
    }
    task.topic = unique();
    task
}

/// Fills a topic for each step, where what was consumed is kept: all its rounds read that one.
async fn ready(
    dimension: Dimension,
    steps: &[u64],
    tasks: Vec<Task>,
    field: &Field,
    progress: &Progress,
) -> Vec<Turn> {
    let mut turns = Vec::new();
    for (step, mut task) in steps.iter().zip(tasks) {
        let name = dimension.step(*step);
        task.own_topic = !(task.operation == Operation::Consume && field.keeps);
        let mut failure = None;
        if !task.own_topic {
            progress.say(&format!("filling a topic: {name}"));
            let filled = child(&Task { contender: FILL.to_owned(), ..task.clone() }).await;
            failure = filled.err().map(|error| format!("its topic was not filled: {error}"));
        }
        turns.push(Turn { name, task, failure });
    }
    turns
}

/// Deletes what was filled.
async fn clear(turns: Vec<Turn>) {
    for turn in turns.into_iter().filter(|turn| !turn.task.own_topic) {
        let deleted = child(&Task { contender: DELETE.to_owned(), ..turn.task.clone() }).await;
        if let Err(error) = deleted {
            eprintln!("{}: its topic {} is left there: {error}", turn.name, turn.task.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Task {
        Task {
            url: String::new(),
            contender: String::new(),
            operation: Operation::Publish,
            size: 128,
            messages: 200_000,
            warm_up: 20_000,
            topic: "t".to_owned(),
            group: "g".to_owned(),
            own_topic: true,
            keys: 100,
            partitions: 4,
            prefetch: 1_000,
            subscriptions: 1,
            backlog: 0,
            rate: 1,
        }
    }

    fn varied(task: &Task) -> (u32, u32, u64, u32) {
        (task.keys, task.partitions, task.backlog, task.subscriptions)
    }

    #[test]
    fn a_step_changes_its_dimension_and_nothing_else() {
        let of = |dimension| varied(&at(&usual(), dimension, 64, false));
        let expected = [(64, 4, 0, 1), (100, 64, 0, 1), (100, 4, 64, 1), (100, 4, 0, 64)];
        assert_eq!(Dimension::ALL.map(of), expected);
    }

    #[test]
    fn many_subscriptions_have_messages_for_each_unless_their_number_is_stated() {
        let messages = |step, stated| at(&usual(), Dimension::Subscriptions, step, stated).messages;
        assert_eq!(
            [messages(10, false), messages(1_000, false), messages(1_000, true)],
            [200_000, 1_000_000, 200_000]
        );
        let each = at(&usual(), Dimension::Subscriptions, 1_000, false).each();
        assert_eq!((each.len(), each[7].messages, each[7].warm_up), (1_000, 1_000, 100));
        assert!(each[7].topic.ends_with("-7"), "{}", each[7].topic);
    }

    #[test]
    fn what_is_beyond_the_most_is_left_out_and_said() {
        let most = ["backlog=100000", "keys=50"].map(|text| text.parse().unwrap());
        let scale = Scale { dimensions: Dimension::ALL.to_vec(), most: most.to_vec() };
        assert_eq!(
            scale.steps(Dimension::Backlog),
            (vec![1_000, 10_000, 100_000], vec![1_000_000, 10_000_000])
        );
        assert_eq!(scale.steps(Dimension::Keys), (vec![1, 10], vec![100, 1_000]));
        assert_eq!(scale.steps(Dimension::Partitions), (vec![1, 4, 16, 64], vec![]));
    }

    #[test]
    fn a_most_that_leaves_nothing_is_refused() {
        let why = |text: &str| text.parse::<Most>().unwrap_err();
        assert!(why("backlog=999").contains("1000"), "{}", why("backlog=999"));
        assert!(why("messages=5").contains("dimensions are"), "{}", why("messages=5"));
        assert!(why("100000").contains("backlog=100000"), "{}", why("100000"));
    }
}
