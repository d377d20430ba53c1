//! The consumer's loop: it serves librdkafka's events, fills the session, and commits.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anybroker_core::kit::{Incoming, Session};
use anybroker_core::{Error, Kind, RecordBuffer, Result};
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::oneshot;

use crate::assignment::{Assignment, Pending, Stage, Start};
use crate::commit::Commits;
use crate::committer::Committer;
use crate::config::KafkaConfig;
use crate::error;
use crate::link::{Command, Wake};
use crate::raw::{Fields, remind};
use crate::rebalance::{Event, Member};
use crate::turns::Rest;

/// The longest the loop rests: a session that was dropped is noticed within it.
const REST: Duration = Duration::from_millis(100);

/// So many records and one portion of a partition at most are moved at once, so that nobody waits long for the thread.
const MOST: usize = 1_024;

/// How long leaving waits for a commit that is under way.
const LAST_COMMIT: Duration = Duration::from_secs(2);

/// Everything that the loop owns.
pub(crate) struct Loop {
    pub(crate) consumer: Arc<BaseConsumer<Member>>,
    pub(crate) session: Arc<Session>,
    pub(crate) wake: Arc<Wake>,
    pub(crate) config: KafkaConfig,
    commands: Receiver<Command>,
    pub(crate) assignment: Assignment,
    pub(crate) commits: Commits,
    pub(crate) buffer: RecordBuffer,
    batch: Vec<Incoming>,
    turn: usize,
    closing: Option<Closing>,
}

struct Closing {
    answer: Option<oneshot::Sender<Result<()>>>,
    until: Instant,
}

impl Loop {
    /// A loop for a consumer that has subscribed.
    pub(crate) fn new(
        consumer: Arc<BaseConsumer<Member>>,
        session: Arc<Session>,
        wake: Arc<Wake>,
        config: KafkaConfig,
        commands: Receiver<Command>,
        start: Start,
    ) -> Result<Self> {
        let committer = Committer::start(consumer.clone(), wake.clone())?;
        Ok(Loop {
            consumer,
            session,
            wake,
            config,
            commands,
            assignment: Assignment::new(start),
            commits: Commits::new(committer),
            buffer: RecordBuffer::new(),
            batch: Vec::new(),
            turn: 0,
            closing: None,
        })
    }

    /// One turn; says what to do until the next, none if that follows at once.
    pub(crate) fn turn(&mut self) -> Option<Rest> {
        self.serve();
        self.obey();
        self.rebalance();
        let more = self.session.is_awaited() && self.fetch();
        self.commit();
        (!more).then(|| self.rest())
    }

    /// Serves what librdkafka has for us, until there is nothing.
    fn serve(&mut self) {
        let consumer = self.consumer.clone();
        loop {
            let before = consumer.context().observer.served();
            match consumer.poll(Duration::ZERO) {
                None if consumer.context().observer.served() == before => break,
                None => {}
                Some(Err(error)) => self.failed(error),
                Some(Ok(message)) => {
                    let number = message.partition().max(0) as u32;
                    if let Some(slot) = self.assignment.slots.iter_mut().find(|s| s.number == number) {
                        slot.take_stray(&mut self.buffer, Fields::of(&message));
                    }
                }
            }
        }
        while let Some(event) = consumer.context().event() {
            match event {
                Event::Assign(partitions) => self.assignment.pending.push_back(Pending::Assign(partitions)),
                Event::Revoke(partitions) => {
                    self.assignment.pending.push_back(Pending::Revoke(partitions, Stage::New));
                }
            }
        }
    }

    /// Ends the session for what does not mend by itself; librdkafka reconnects and rejoins for the rest.
    fn failed(&mut self, error: KafkaError) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let denied = error::kind(code) == Kind::PermissionDenied;
        if error::kind(code) == Kind::NotFound {
            // The supervisor looks whether the topic is really gone.
            self.consumer.context().observer.disturb();
        }
        if fatal || denied {
            let topic = self.session.subscription().topic.clone();
            let error = match self.consumer.context().observer.recent() {
                Some(reason) => error::told("receive", code, &reason),
                None => error::of("receive", error),
            };
            self.session.fail(error.on(format!("topic `{topic}`")));
        } else {
            tracing::debug!(%error, "the consumer met an error, and goes on");
        }
    }

    fn obey(&mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Flush(answer)) => self.flush(answer),
                Ok(Command::Enlist(enlist)) => self.commits.enlisting.push(enlist),
                Ok(Command::Thaw(thaws)) => self.thaw(thaws),
                Ok(Command::Remind) => self.remind(),
                Ok(Command::Close(answer)) => self.close(Some(answer), self.config.close_timeout / 2),
                Err(TryRecvError::Empty) => break,
                // Nobody can ask for anything any more.
                Err(TryRecvError::Disconnected) => {
                    self.session.fail(Error::new(Kind::Closed, "receive", "the consumer is closed"));
                    break;
                }
            }
        }
        self.end_slots();
        if self.closing.is_none() && self.session.ended().is_some() {
            self.abandon();
        }
    }

    fn remind(&self) {
        let topic = &self.session.subscription().topic;
        let observer = &self.consumer.context().observer;
        remind(self.consumer.client(), observer, topic, &self.config.brokers);
    }

    /// Hands everything back in good order.
    fn close(&mut self, answer: Option<oneshot::Sender<Result<()>>>, wait: Duration) {
        self.closing = Some(Closing { answer, until: Instant::now() + wait });
        self.end_slots();
    }

    /// Ends what is not ended yet, but for what a transaction is committing.
    fn end_slots(&mut self) {
        if self.closing.as_ref().is_some_and(|closing| closing.answer.is_some()) {
            let slots = self.assignment.slots.iter_mut();
            let open = slots.filter(|slot| !slot.is_frozen() && !slot.is_ending());
            open.for_each(|slot| slot.end(&self.session));
        }
    }

    /// The session ended without being closed: what was acknowledged is committed, but not that it ended well.
    fn abandon(&mut self) {
        self.closing = Some(Closing { answer: None, until: Instant::now() + Duration::from_secs(1) });
        self.commits.hurry();
    }

    /// Whether it is about to leave the group.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    pub(crate) fn is_finished(&self) -> bool {
        let Some(closing) = &self.closing else { return false };
        let committed = match closing.answer {
            Some(_) => self.assignment.slots.iter().all(|slot| slot.has_ended()),
            None => self.is_committed(),
        };
        committed || Instant::now() >= closing.until || self.consumer.assignment_lost()
    }

    /// Leaves the group, so that it rebalances at once.
    pub(crate) fn leave(mut self) {
        let committed = self.assignment.slots.iter().all(|slot| slot.has_ended());
        self.end_all_flushes();
        self.consumer.context().close();
        self.answer_pending();
        // The queues go before the consumer that they belong to. Dropping that closes it, which may take a while.
        self.assignment.slots.clear();
        let Loop { consumer, session, closing, commits, .. } = self;
        consumer.unsubscribe();
        commits.stop(LAST_COMMIT);
        drop(consumer);
        // Whoever closed it may have given that up; who waits for messages must not wait for him.
        session.fail(Error::new(Kind::Closed, "receive", "the consumer, or its broker handle, is closed"));
        let Some(answer) = closing.and_then(|closing| closing.answer) else { return };
        let _ = answer.send(if committed {
            Ok(())
        } else {
            let text = "the last acknowledgements could not be committed, and come again";
            Err(Error::new(Kind::Disconnected, "consumer: close", text))
        });
    }

    /// Moves records into the session for who waits there; says whether there is more to do at once.
    fn fetch(&mut self) -> bool {
        let (records, more) = self.fill();
        if records > 0 {
            self.session.announce();
        }
        more && !self.is_full()
    }

    /// The same on the thread of who waits, unannounced; says how many. None if the loop must have a turn for that.
    pub(crate) fn refill(&mut self) -> Option<usize> {
        let (records, _) = self.fill();
        let nothing = records == 0 && !self.is_full();
        let urgent = self.assignment.slots.iter().any(|slot| slot.is_urgent());
        if urgent && !nothing {
            // A message of one partition waits for a commit, and those of another do not.
            self.wake.wake();
        }
        (!nothing || !urgent).then_some(records)
    }

    /// Moves records into the session, partition by partition; says how many, and whether there may be more.
    fn fill(&mut self) -> (usize, bool) {
        if self.closing.is_some() {
            return (0, false);
        }
        let (mut all, mut more) = (0, false);
        let count = self.assignment.slots.len();
        for step in 0..count {
            let room = self.session.room().messages;
            if room == 0 || all >= MOST {
                break;
            }
            let slot = &mut self.assignment.slots[(self.turn + step) % count];
            match slot.fetch(&self.session, &mut self.buffer, &mut self.batch, room) {
                Ok((records, there_is)) => {
                    all += records;
                    more |= there_is;
                }
                Err(error) => {
                    // It came after some records, perhaps.
                    all += 1;
                    self.failed(error);
                }
            }
        }
        self.turn = self.turn.wrapping_add(1);
        (all, more)
    }

    /// Whether the session takes no more; then the loop is woken when enough has been acknowledged.
    fn is_full(&self) -> bool {
        let cautious = self.assignment.slots.iter().any(|slot| slot.is_cautious());
        let portion = (self.session.subscription().prefetch / 8).clamp(1, 128);
        self.wake.want_room(if cautious { 1 } else { portion });
        if self.session.room().messages > 0 {
            if !cautious {
                self.wake.want_room(0);
            }
            return false;
        }
        true
    }

    fn rest(&mut self) -> Rest {
        if self.session.is_awaited() {
            self.is_full();
        } else {
            self.wake.want_room(0);
        }
        let now = Instant::now();
        let due = self.commit_due(now).into_iter().chain(self.rebalance_due());
        let rest = due.map(|due| due.saturating_duration_since(now)).min().unwrap_or(REST);
        let draining = self.is_draining().then(|| self.session.clone());
        Rest { longest: rest.min(REST), draining }
    }
}
