//! Replaying and discarding, step by step, until all is done or a signal comes.

use anybroker::dead_letter::{Discard, Handled, Letters, Replay, Summary};
use indicatif::ProgressBar;

use super::outcome::Outcomes;
use super::parking::Parking;
use crate::connect::within;
use crate::failure::Failure;
use crate::output;
use anybroker::worker::Signals;

/// What is done with letters.
pub(super) enum Work {
    Replay(Replay),
    /// With the store that a worker parks messages in.
    Discard(Discard, Option<Parking>),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing is left to be done.
    All,
    /// A signal came, between two steps.
    Interrupted,
    /// A second signal came, in the middle of a step.
    GivenUp,
}

impl Work {
    async fn ready(&self) {
        if let Work::Replay(replay) = self {
            replay.ready().await;
        }
    }

    async fn step(&mut self) -> Result<Vec<Handled>, Failure> {
        match self {
            Work::Replay(replay) => Ok(replay.step().await),
            Work::Discard(discard, parking) => {
                if let Some(parking) = parking {
                    for letter in discard.next() {
                        parking.leave(letter).await?;
                    }
                }
                Ok(discard.step().await)
            }
        }
    }

    /// How far it is.
    pub(super) fn summary(&self) -> Summary {
        match self {
            Work::Replay(replay) => replay.summary(),
            Work::Discard(discard, _) => discard.summary(),
        }
    }

    /// Whether the broker would not lend the letters for as long as it takes.
    pub(super) fn is_overdue(&self) -> bool {
        matches!(self, Work::Replay(replay) if replay.is_overdue())
    }

    /// Reads what the broker hands out only now; says whether there is more to do.
    async fn read_on(&mut self, letters: &mut Letters) -> anybroker::Result<bool> {
        match self {
            Work::Replay(replay) => replay.read_on(letters).await,
            Work::Discard(discard, _) => discard.read_on(letters).await,
        }
    }

    /// Does it, as long as there is something to do; prints what becomes of the letters.
    pub(super) async fn run(
        &mut self,
        letters: &mut Letters,
        outcomes: &mut Outcomes,
        bar: &ProgressBar,
        signals: &mut Signals,
    ) -> Result<Ended, Failure> {
        loop {
            let ended = self.run_out(outcomes, bar, signals).await?;
            if ended != Ended::All {
                return Ok(ended);
            }
            tokio::select! {
                more = self.read_on(letters) => if !more? {
                    return Ok(Ended::All);
                },
                () = signals.next() => return Ok(Ended::Interrupted),
            }
        }
    }

    /// Does what is to be done so far.
    async fn run_out(
        &mut self,
        outcomes: &mut Outcomes,
        bar: &ProgressBar,
        signals: &mut Signals,
    ) -> Result<Ended, Failure> {
        bar.set_length(self.summary().matched as u64);
        loop {
            tokio::select! {
                biased;
                () = signals.next() => return Ok(Ended::Interrupted),
                () = self.ready() => {}
            }
            let (handled, interrupted) = match self.step_or_give_up(bar, signals).await {
                Some((handled, interrupted)) => (handled?, interrupted),
                None => return Ok(Ended::GivenUp),
            };
            bar.inc(handled.len() as u64);
            for one in &handled {
                bar.suspend(|| outcomes.add(one))?;
            }
            match (handled.is_empty(), interrupted) {
                (true, _) => return Ok(Ended::All),
                (false, true) => return Ok(Ended::Interrupted),
                (false, false) => {}
            }
        }
    }

    /// A whole step, and whether a signal came meanwhile; none if a second one came.
    async fn step_or_give_up(
        &mut self,
        bar: &ProgressBar,
        signals: &mut Signals,
    ) -> Option<(Result<Vec<Handled>, Failure>, bool)> {
        let mut step = std::pin::pin!(self.step());
        tokio::select! {
            handled = &mut step => return Some((handled, false)),
            () = signals.next() => {}
        }
        let text = "interrupted: waiting for the broker's word on what was sent; once more gives up";
        bar.suspend(|| output::note(text));
        tokio::select! {
            handled = step => Some((handled, true)),
            () = signals.next() => None,
        }
    }

    /// Closes what it opened.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            Work::Replay(replay) => Ok(within("close", replay.close()).await?),
            Work::Discard(..) => Ok(()),
        }
    }
}
