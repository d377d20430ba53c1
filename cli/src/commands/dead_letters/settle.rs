//! `dlq replay` and `dlq discard`.

use std::io::{IsTerminal, stdin, stdout};
use std::num::NonZeroU32;
use std::path::PathBuf;

use anybroker::Topic;
use anybroker::dead_letter::{Allowed, Filter, Letters, ReplayOptions};

use super::outcome::{End, Outcomes};
use super::parking::Parking;
use super::work::{Ended, Work};
use super::{Which, choice::Choice, list};
use crate::args::Format;
use crate::connect::within;
use crate::failure::{Done, Failure};
use crate::output;
use crate::progress;
use anybroker::worker::Signals;

/// What `replay` takes besides.
#[derive(Debug, clap::Args)]
pub(crate) struct Replaying {
    /// Publish to this topic, not to the one that each letter was consumed from.
    #[arg(long, value_name = "TOPIC")]
    to: Option<Topic>,
    /// Messages a second at most.
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,
    /// Publish under new ids, made of the old ones, which stay in the header `original-id`: for brokers that remember the old
    /// ones. Consumers that know messages by their id do not know these.
    #[arg(long)]
    new_id: bool,
    /// Replay a letter although an earlier one of its key stays: the key loses its order.
    #[arg(long)]
    allow_gaps: bool,
    #[command(flatten)]
    settling: Settling,
}

/// What `discard` takes besides.
#[derive(Debug, clap::Args)]
pub(crate) struct Discarding {
    /// The SQLite file in which a worker parks later messages of a key: what waits there behind a discarded letter waits for it
    /// no longer.
    #[arg(long, value_name = "FILE")]
    parking: Option<PathBuf>,
    #[command(flatten)]
    settling: Settling,
}

/// What `replay` and `discard` take.
#[derive(Debug, clap::Args)]
pub(crate) struct Settling {
    /// Where the broker acknowledges only in order: choose a letter although an earlier one of its partition stays. It comes
    /// again.
    #[arg(long)]
    allow_repeats: bool,
    /// Only show which letters are meant.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// What came of a task before its first step.
enum Begun {
    /// It is to be done.
    Work(Box<Work>),
    /// It was only to be shown.
    Shown,
    /// The person does not mean it.
    NotMeant,
}

/// What is to be done with the letters.
pub(super) enum Task<'a> {
    Replay(&'a Replaying),
    Discard(&'a Discarding),
}

impl Task<'_> {
    fn settling(&self) -> &Settling {
        match self {
            Task::Replay(replaying) => &replaying.settling,
            Task::Discard(discarding) => &discarding.settling,
        }
    }

    fn verb(&self) -> (&'static str, &'static str) {
        match self {
            Task::Replay(_) => ("replay", "replayed"),
            Task::Discard(_) => ("discard", "discarded"),
        }
    }

    fn begin(&self, letters: &mut Letters, filter: &Filter) -> Result<Work, Failure> {
        match self {
            Task::Replay(Replaying { to, rate, new_id, allow_gaps, settling }) => {
                let allowed = Allowed { gaps: *allow_gaps, repeats: settling.allow_repeats };
                let options = ReplayOptions { to: to.clone(), rate: *rate, new_ids: *new_id, allowed };
                Ok(Work::Replay(letters.replay(filter, options)?))
            }
            Task::Discard(Discarding { parking, settling }) => {
                let parking = parking.as_deref().map(Parking::open).transpose()?;
                let allowed = Allowed { repeats: settling.allow_repeats, ..Allowed::default() };
                Ok(Work::Discard(letters.discard(filter, allowed)?, parking))
            }
        }
    }

    /// Whether the person means it. What is thrown away is asked for also where nobody can be asked.
    async fn is_meant(&self, count: usize, signals: &mut Signals) -> Result<bool, Failure> {
        let (verb, _) = self.verb();
        if self.settling().yes || count == 0 {
            return Ok(true);
        }
        if !stdin().is_terminal() {
            return match self {
                Task::Replay(_) => Ok(true),
                Task::Discard(_) => Err(Failure::new(format!(
                    "{count} letters would be lost for good: say --yes, or look with --dry-run"
                ))),
            };
        }
        output::note(&format!("{verb} {count} letters? [y/N]"));
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            stdin().read_line(&mut answer).map(|_| answer)
        });
        tokio::select! {
            answer = answer => Ok(answer.is_ok_and(|line| line.is_ok_and(|line| line.trim().eq_ignore_ascii_case("y")))),
            () = signals.next() => Ok(false),
        }
    }
}

/// Does it with the letters that are held, and gives the others back. None if it was given up in the middle.
pub(super) async fn run(
    mut letters: Letters,
    which: &Which,
    choice: &Choice,
    task: &Task<'_>,
    signals: &mut Signals,
) -> Result<Option<Done>, Failure> {
    let all_there = choice.complain(&letters);
    let begun = begin(&mut letters, which, choice, task, signals).await;
    let mut work = match begun {
        Ok(Begun::Work(work)) => *work,
        begun => {
            let closed = within("close", letters.close()).await;
            let shown = matches!(begun?, Begun::Shown);
            closed?;
            if !shown {
                output::note("nothing has been done");
            }
            return Ok(Some(Done::if_holds(shown && all_there)));
        }
    };
    let bar = if which.format == Format::Json && stdout().is_terminal() {
        indicatif::ProgressBar::hidden()
    } else {
        progress::steps()
    };
    let mut outcomes = Outcomes::new(which.format, task.verb().1);
    let ended = work.run(&mut letters, &mut outcomes, &bar, signals).await;
    bar.finish_and_clear();
    if matches!(ended, Ok(Ended::GivenUp)) {
        output::note("given up: what was sent last may have been stored, and comes again");
        return Ok(None);
    }
    let looked_at = letters.seen();
    let (summary, overdue) = (work.summary(), work.is_overdue());
    let work_closed = work.close().await;
    let closed = within("close", letters.close()).await;
    let end = End { looked_at, summary, ended: ended?, overdue, behind: *closed.as_ref().unwrap_or(&0) };
    let done = outcomes.finish(&end)?;
    work_closed?;
    closed?;
    Ok(Some(Done::if_holds(done == Done::Holds && all_there)))
}

/// Begins what is meant, or shows it.
async fn begin(
    letters: &mut Letters,
    which: &Which,
    choice: &Choice,
    task: &Task<'_>,
    signals: &mut Signals,
) -> Result<Begun, Failure> {
    let filter = choice.filter();
    if task.settling().dry_run {
        list(which, letters, &filter)?;
        // What would be refused is refused here too. Nothing is published or settled before a step.
        let work = task.begin(letters, &filter)?;
        output::note(&format!("{} letters would be {}", work.summary().matched, task.verb().1));
        return Ok(Begun::Shown);
    }
    let count = letters.matching(&filter).count();
    let work = task.begin(letters, &filter)?;
    Ok(if task.is_meant(count, signals).await? { Begun::Work(Box::new(work)) } else { Begun::NotMeant })
}
