//! How far each partition has been handled.

use rdkafka::consumer::{CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::Result;

/// The offset after the last handled message, by partition.
#[derive(Default)]
pub(super) struct Offsets(Vec<Option<i64>>);

impl Offsets {
    pub(super) fn handled(&mut self, partition: i32, offset: i64) {
        let index = partition as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        self.0[index] = Some(offset);
    }

    /// Stores them, for the next commit.
    pub(super) fn store<C: ConsumerContext>(
        &mut self,
        consumer: &impl Consumer<C>,
        topic: &str,
    ) -> Result<()> {
        for (partition, offset) in self.0.iter_mut().enumerate() {
            if let Some(offset) = offset.take() {
                consumer.store_offset(topic, partition as i32, offset)?;
            }
        }
        Ok(())
    }
}

/// Commits what is stored, and waits for it.
pub(super) fn commit<C: ConsumerContext>(consumer: &impl Consumer<C>) -> Result<()> {
    match consumer.commit_consumer_state(CommitMode::Sync) {
        // The last commit in the background had all of it.
        Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        other => Ok(other?),
    }
}
