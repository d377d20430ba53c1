//! One transaction after the other: each takes what is done by then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Broker, Error, Fate, Kind, Result, TransactionalPublisher};
use tokio::time::Instant;

use super::super::desk::Desk;
use super::super::parking;
use super::super::settling::{REFUSED, is_gone, note_refused};
use super::attempt::{NotDone, attempt, deliveries};
use super::choice::Choice;
use super::pace::Pace;
use super::seen::{Place, Seen, place};
use super::work::Work;
use crate::failure::Failure;
use crate::health::Heart;
use crate::observe::{Happening, Loop};
use crate::publishers::Publishers;

/// How soon to look again at what comes after something undone: its partition may be taken away, which nobody tells.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The longest of that when a partition has moved, or its group shares out anew.
const MOVED: Duration = Duration::from_millis(500);

/// Commits what the handlers leave.
pub(in crate::serve) struct Transactor {
    desk: Arc<Desk>,
    broker: Broker,
    publisher: Box<dyn TransactionalPublisher>,
    publishers: Publishers,
    waiting: Vec<Work>,
    pace: Pace,
    /// Of which messages the broker does not take what was published, and why: they fail when they come again.
    refused: HashMap<Place, Error>,
}

impl Transactor {
    pub(in crate::serve) fn new(
        desk: Arc<Desk>,
        broker: Broker,
        publisher: Box<dyn TransactionalPublisher>,
        publishers: Publishers,
    ) -> Self {
        Transactor {
            desk,
            broker,
            publisher,
            publishers,
            waiting: Vec::new(),
            pace: Pace::default(),
            refused: HashMap::new(),
        }
    }

    /// Commits until it is dropped, or cannot go on, which ends the subscription.
    pub(in crate::serve) async fn run(mut self) {
        let mut heart = Heart::new(self.desk.wants().heartbeat);
        loop {
            self.wait(&mut heart).await;
            if let Err(ended) = self.commit_all().await {
                self.desk.raise(ended);
                return self.close();
            }
            if self.desk.done.as_ref().is_some_and(|done| done.is_last()) {
                self.hand_back_all();
            }
        }
    }

    /// Takes what the handlers have left. What parks a key, or lets it go, is noted, and then the key goes on; if it waited for
    /// the commit, a batch with later messages of it could wait for itself.
    async fn take(&mut self) {
        let Some(done) = &self.desk.done else { return };
        for work in done.take() {
            for task in work.tasks.iter().filter(|task| work.holds_key(task)) {
                if self.desk.handling.parking.is_some() {
                    parking::note(&self.desk, task, work.outcome).await;
                }
                self.desk.release(task.key());
            }
            self.waiting.push(work);
        }
    }

    /// Hands back all there is and all that comes.
    fn close(&mut self) {
        if let Some(done) = &self.desk.done {
            self.waiting.append(&mut done.close());
        }
        self.hand_back_all();
    }

    async fn wait(&mut self, heart: &mut Heart) {
        let Some(done) = &self.desk.done else { return std::future::pending().await };
        let look_again = (!self.waiting.is_empty()).then(|| Instant::now() + LOOK_AGAIN);
        loop {
            tokio::select! {
                biased;
                () = heart.beat() => self.desk.observe(&Happening::Beats(Loop::Settling)),
                () = done.arrived.notified() => return,
                () = until(look_again) => return,
            }
        }
    }

    /// Commits until nothing that waits can be.
    ///
    /// # Errors
    /// What ends the subscription.
    async fn commit_all(&mut self) -> Result<()> {
        loop {
            self.take().await;
            self.fail_refused();
            let choice = Choice::of(&*self.desk.settler, std::mem::take(&mut self.waiting), self.pace.most);
            self.waiting = choice.behind;
            for work in choice.void {
                self.hand_back(work, &void());
            }
            if choice.next.is_empty() {
                return Ok(());
            }
            if !self.pace.pause.is_zero() {
                tokio::time::sleep(self.pace.pause).await;
            }
            self.commit(choice.next).await?;
            if self.desk.wants().heartbeat.is_some() {
                self.desk.observe(&Happening::Beats(Loop::Settling));
            }
        }
    }

    /// What the broker did not take from a handler is that handler's failure; of a batch, all of it fails.
    fn fail_refused(&mut self) {
        if self.refused.is_empty() {
            return;
        }
        for work in std::mem::take(&mut self.waiting) {
            let refused = work.tokens().find_map(|token| self.refused.get(&place(token)));
            let Some(failure) =
                refused.filter(|_| work.letter.is_none()).map(|error| Failure::from(error.duplicate()))
            else {
                self.waiting.push(work);
                continue;
            };
            let count = work.tasks.len();
            for task in work.tasks {
                self.refused.remove(&place(task.delivery.token()));
                self.desk.finish(task, Err(failure.again()), |_| Vec::new());
            }
            self.settled(count);
        }
    }

    /// Commits all of this, or none of it: then it comes again.
    ///
    /// # Errors
    /// What ends the subscription.
    async fn commit(&mut self, works: Vec<Work>) -> Result<()> {
        let seen = Seen::of(&self.desk, &works);
        let operation = self.desk.spans.commit(&*self.desk.settler, deliveries(&works));
        let committed =
            operation.run(attempt(&mut *self.publisher, works, &self.desk, &self.publishers)).await;
        let committed = match committed {
            Err(NotDone::NotBegun(error, works)) => {
                operation.end(Some(&error));
                self.waiting.extend(works);
                return self.begin_later(error).await;
            }
            Err(NotDone::Failed(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        operation.end(committed.as_ref().err());
        seen.tell(&self.desk, committed.as_ref().copied());
        let ended = match committed {
            Ok(()) => {
                self.pace.went_well();
                Ok(())
            }
            Err(error) => self.failed(error, &seen),
        };
        self.settled(seen.places.len());
        ended
    }

    /// # Errors
    /// The publisher is of no use any more, and another cannot be opened.
    async fn begin_later(&mut self, error: Error) -> Result<()> {
        if error.kind() == Kind::Fenced {
            return Err(error.advice(
                "give each subscription of each process a transactional id of its own; or this one stood still for longer \
                 than a transaction may take: then start it again",
            ));
        }
        tracing::warn!(%error, "no transaction can begin; what is done waits");
        self.pace.wait_longer(REFUSED.1);
        if error.is_retryable() {
            return Ok(());
        }
        let Some(options) = self.desk.handling.exactly_once.clone() else { return Err(error) };
        match self.broker.transactional_publisher(options).await {
            Ok(publisher) => self.publisher = publisher,
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// # Errors
    /// Nobody knows whether it was committed.
    fn failed(&mut self, error: Error, seen: &Seen) -> Result<()> {
        if error.fate() == Fate::Unknown {
            self.desk.doubt();
            return Err(error);
        }
        note_refused(&error);
        match () {
            () if is_gone(&error) => self.pace.wait_longer(MOVED),
            () if error.is_retryable() => {
                self.pace.take_less(seen.works / 2);
                self.pace.wait_longer(REFUSED.1);
            }
            // Something that is in it; alone, it is known which.
            () => {
                self.pace.take_less(1);
                self.pace.wait_longer(REFUSED.1);
                if seen.letters > 0 {
                    self.desk.observe(&Happening::DeadLetterRefused(&error));
                } else if seen.works == 1 {
                    let refused = seen.places.iter().map(|place| (*place, error.duplicate()));
                    self.refused.extend(refused);
                }
            }
        }
        Ok(())
    }

    /// It comes again.
    fn hand_back(&self, work: Work, error: &Error) {
        let seen = Seen::of(&self.desk, std::slice::from_ref(&work));
        drop(work);
        seen.tell(&self.desk, Err(error));
        self.settled(seen.places.len());
    }

    fn hand_back_all(&mut self) {
        for work in std::mem::take(&mut self.waiting) {
            let messages = work.tasks.len();
            drop(work);
            self.settled(messages);
        }
    }

    fn settled(&self, messages: usize) {
        if let Some(done) = &self.desk.done {
            done.settled(messages);
        }
    }
}

/// Waits until then; for ever if there is no such time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn void() -> Error {
    Error::new(
        Kind::Superseded,
        "commit",
        "the message is no longer ours, or an earlier one of its key comes again",
    )
}
