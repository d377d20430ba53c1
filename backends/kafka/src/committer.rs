//! The thread that commits: librdkafka tells the outcome of a commit only to who waits for it, and the consumer's loop
//! must not wait.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anybroker_core::Result;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaResult;

use crate::blocking::{self, Owned};
use crate::link::Wake;
use crate::rebalance::Member;

/// Commits what it is given, one list after the other.
pub(crate) struct Committer {
    lists: Sender<TopicPartitionList>,
    outcomes: Receiver<KafkaResult<()>>,
    thread: Owned,
}

impl Committer {
    /// Starts the thread; it wakes the loop after each commit.
    ///
    /// # Errors
    /// `Unexpected` if the system gives no thread.
    pub(crate) fn start(consumer: Arc<BaseConsumer<Member>>, wake: Arc<Wake>) -> Result<Self> {
        let (lists, given) = channel::<TopicPartitionList>();
        let (outcome, outcomes) = channel();
        let work = move || {
            for list in given {
                let result = consumer.commit(&list, CommitMode::Sync);
                if outcome.send(result).is_err() {
                    return;
                }
                wake.wake();
            }
        };
        let thread = blocking::spawn("kafka-committer", work)?;
        Ok(Committer { lists, outcomes, thread })
    }

    /// Takes a list to commit; says whether the thread is there to do it.
    pub(crate) fn commit(&self, list: TopicPartitionList) -> bool {
        self.lists.send(list).is_ok()
    }

    /// How the commit under way ended, once it has.
    pub(crate) fn outcome(&self) -> Option<KafkaResult<()>> {
        self.outcomes.try_recv().ok()
    }

    /// Ends the thread. A commit that does not end in time leaves it to end by itself.
    pub(crate) fn stop(self, deadline: Duration) {
        let Committer { lists, outcomes, thread } = self;
        drop((lists, outcomes));
        if blocking::wait(deadline, thread.ended()).is_none() {
            tracing::debug!("a commit is still under way, and the consumer closes after it");
        }
    }
}
