//! Publishes batches while earlier ones wait for their confirmations, and takes the outcomes in order.

use std::collections::VecDeque;

use anybroker::kit::Confirmations;
use anybroker::{Message, MessageId, Publisher};

use super::input::{Batch, Batches};
use super::outcome::Tally;
use super::template::Template;
use crate::failure::{Done, Failure};
use crate::output;
use anybroker::worker::Signals;

/// Batches that wait for their confirmations at once.
const IN_FLIGHT: usize = 16;

pub(super) struct Pipeline<'a> {
    publisher: &'a dyn Publisher,
    template: Template,
    tally: Tally,
    in_flight: VecDeque<InFlight>,
    last_line: u64,
    interrupted: bool,
    abandoned: bool,
}

/// A batch on its way: its lines in order, and the outcomes to come of those that are messages.
struct InFlight {
    slots: Vec<Slot>,
    confirmations: Confirmations,
    bytes: u64,
}

enum Slot {
    Sent(u64, MessageId),
    Bad(u64, String),
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(publisher: &'a dyn Publisher, template: Template, tally: Tally) -> Self {
        let in_flight = VecDeque::with_capacity(IN_FLIGHT);
        Pipeline { publisher, template, tally, in_flight, last_line: 0, interrupted: false, abandoned: false }
    }

    /// Publishes until the input ends or a signal comes.
    pub(super) async fn run(&mut self, mut batches: Batches, signals: &mut Signals) -> Result<(), Failure> {
        while !self.interrupted {
            tokio::select! {
                biased;
                () = signals.next() => self.interrupted = true,
                outcomes = next_outcomes(&mut self.in_flight), if !self.in_flight.is_empty() => {
                    self.interrupted |= self.take(outcomes, signals).await?;
                }
                batch = batches.recv(), if self.in_flight.len() < IN_FLIGHT => match batch {
                    None => return Ok(()),
                    Some(Ok(batch)) => self.publish(batch, signals).await?,
                    Some(Err(error)) => {
                        return Err(Failure::new(format!("after line {}: {error}", self.last_line)));
                    }
                },
            }
        }
        Ok(())
    }

    /// Waits for what is in flight and prints the summary. A second signal ends the waiting: see
    /// [`abandoned`](Self::abandoned).
    pub(super) async fn finish(&mut self, signals: &mut Signals) -> Result<Done, Failure> {
        if self.interrupted && !self.in_flight.is_empty() {
            self.tally
                .note("interrupted: waiting for the broker's word on what was sent; once more gives up");
        }
        while !self.in_flight.is_empty() && !self.abandoned {
            tokio::select! {
                () = signals.next() => self.abandoned = true,
                outcomes = next_outcomes(&mut self.in_flight) => {
                    self.abandoned = self.take(outcomes, signals).await?;
                }
            }
        }
        for slot in self.in_flight.drain(..).flat_map(|batch| batch.slots) {
            match slot {
                Slot::Sent(number, id) => self.tally.given_up(number, &id)?,
                Slot::Bad(number, reason) => self.tally.bad_line(number, &reason)?,
            }
        }
        let done = self.tally.finish(signals).await?;
        if self.interrupted {
            output::note(&format!("interrupted: nothing after line {} was sent", self.last_line));
            return Ok(Done::DoesNotHold);
        }
        Ok(done)
    }

    /// Whether messages are left in flight, because somebody would not wait for the broker.
    pub(super) fn abandoned(&self) -> bool {
        self.abandoned
    }

    async fn publish(&mut self, batch: Batch, signals: &mut Signals) -> Result<(), Failure> {
        let (slots, messages) = self.read(batch.lines);
        let last = slots.last().map(|slot| match slot {
            Slot::Sent(number, _) | Slot::Bad(number, _) => *number,
        });
        let size = messages.iter().map(Message::size).sum();
        let permit = tokio::select! {
            biased;
            () = signals.next() => {
                self.interrupted = true;
                return Ok(());
            }
            permit = self.publisher.ready(messages.len(), size) => permit?,
        };
        let confirmations = self.publisher.enqueue(permit, messages);
        self.in_flight.push_back(InFlight { slots, confirmations, bytes: batch.bytes });
        self.last_line = last.unwrap_or(self.last_line);
        Ok(())
    }

    fn read(&self, lines: Vec<super::input::Line>) -> (Vec<Slot>, Vec<Message>) {
        let mut slots = Vec::with_capacity(lines.len());
        let mut messages = Vec::with_capacity(lines.len());
        for line in lines {
            let too_long = || "it is longer than 64 MiB".to_owned();
            match line.content.ok_or_else(too_long).and_then(|content| self.template.message(content)) {
                Ok(Some(message)) => {
                    slots.push(Slot::Sent(line.number, message.id.clone()));
                    messages.push(message);
                }
                Ok(None) => {}
                Err(reason) => slots.push(Slot::Bad(line.number, reason)),
            }
        }
        (slots, messages)
    }

    /// Counts the outcomes of the first batch in flight; says whether a signal came meanwhile.
    async fn take(
        &mut self,
        outcomes: Vec<anybroker::Outcome>,
        signals: &mut Signals,
    ) -> Result<bool, Failure> {
        let Some(batch) = self.in_flight.pop_front() else { return Ok(false) };
        let mut outcomes = outcomes.into_iter();
        for slot in batch.slots {
            match slot {
                Slot::Bad(number, reason) => self.tally.bad_line(number, &reason)?,
                Slot::Sent(number, id) => match outcomes.next() {
                    Some(outcome) => self.tally.outcome(number, &id, &outcome)?,
                    // The contract gives one outcome for each message.
                    None => self.tally.given_up(number, &id)?,
                },
            }
        }
        self.tally.flush(batch.bytes, signals).await
    }
}

/// Waits for the outcomes of the first batch, which stays where it is. Cancel safe: they are taken only when returned.
async fn next_outcomes(in_flight: &mut VecDeque<InFlight>) -> Vec<anybroker::Outcome> {
    match in_flight.front_mut() {
        Some(batch) => (&mut batch.confirmations).await,
        None => std::future::pending().await,
    }
}
