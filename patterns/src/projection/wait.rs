//! Reading what one has written.

use std::time::Duration;

use anybroker_core::Error;
use tokio::time::Instant;

use super::{Projections, Store};

/// The shortest time between two looks; it doubles up to the longest.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_millis(40);

/// Why a read model does not include a position.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It has not come so far in time.
    #[error(
        "projection `{name}` is at position {reached} after {timeout:?}, not at {position}; see its status"
    )]
    TimedOut {
        /// The projection.
        name: String,
        /// What was waited for.
        position: u64,
        /// How far it is.
        reached: u64,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The event of that position is parked.
    #[error("the event at position {position} is parked in projection `{name}`: {reason}")]
    Parked {
        /// The projection.
        name: String,
        /// What was waited for.
        position: u64,
        /// Why it was parked.
        reason: String,
    },
    /// There is no live generation of this name.
    #[error("there is no live projection `{name}`; run a projector of it, or rebuild it")]
    NotFound {
        /// The projection.
        name: String,
    },
    /// It could not be found out.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl<D: Store> Projections<D> {
    /// Waits until what readers see of a projection includes everything up to a position, such as that of
    /// [`Appended`](crate::event_store::Appended).
    ///
    /// # Errors
    /// [`WaitError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_for(&self, name: &str, position: u64, timeout: Duration) -> Result<(), WaitError> {
        let deadline = Instant::now() + timeout;
        let mut pause = LOOK_AGAIN;
        loop {
            let reached = self.reached(name).await?;
            let Some(reached) = reached else { return Err(WaitError::NotFound { name: name.into() }) };
            if reached >= position {
                return self.not_parked(name, position).await;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WaitError::TimedOut { name: name.into(), position, reached, timeout });
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// How far the live generation is.
    async fn reached(&self, name: &str) -> Result<Option<u64>, Error> {
        let sql = "select min(c.position) from {projection_checkpoints} c join {projections} p \
                   on p.name = c.name and p.generation = c.generation where p.name = $1 and p.state = 'live'";
        let mut connection = self.connection().await?;
        let rows: Vec<(Option<i64>,)> =
            self.database().rows(&mut connection, "read checkpoints", sql, &[name.into()]).await?;
        Ok(rows.first().and_then(|(position,)| position.map(|position| position as u64)))
    }

    async fn not_parked(&self, name: &str, position: u64) -> Result<(), WaitError> {
        let sql = "select coalesce(k.reason, '') from {projection_parked} k join {projections} p \
                   on p.name = k.name and p.generation = k.generation \
                   where p.name = $1 and p.state = 'live' and k.position = $2";
        let mut connection = self.connection().await?;
        let rows: Vec<(String,)> = self
            .database()
            .rows(&mut connection, "read parked events", sql, &[name.into(), position.into()])
            .await?;
        let Some((reason,)) = rows.into_iter().next() else { return Ok(()) };
        let reason = if reason.is_empty() { "an earlier one of its stream is".into() } else { reason };
        Err(WaitError::Parked { name: name.into(), position, reason })
    }
}
