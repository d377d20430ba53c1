//! The deliveries that a transaction settles, until its end says what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::link::Link;
use super::session::Session;
use crate::delivery::{Delivery, Settler, Token};
use crate::error::{Error, Kind, Result};

/// Where a partition goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// With this record, which has had so many attempts.
    At {
        /// The adapter's own name for it.
        native: u64,
        /// How often it has been handed out.
        attempts: u32,
    },
    /// After everything that the session has.
    End,
    /// Nowhere: something that would be acknowledged comes after something that is not.
    Gap,
}

/// One settled delivery, as its adapter knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Input {
    token: Token,
    native: u64,
}

/// The deliveries of a transaction. Dropped, they go back to their sessions, in order.
///
/// While they are in here nobody else can settle them, and their partitions are not drained. Taking a partition away makes
/// them void all the same: see [`Part::is_ours`].
#[derive(Default)]
pub struct Inputs {
    parts: Vec<Part>,
}

/// Those of one session.
pub struct Part {
    settler: Arc<dyn Settler>,
    /// Each with its adapter's name for it, and what puts it back.
    inputs: Vec<(Input, Delivery)>,
}

impl Inputs {
    /// Takes deliveries in, all of which `accepts` (what their adapter knows) finds to be its own.
    ///
    /// # Errors
    /// `InvalidConfiguration` for a delivery of another broker; `Superseded`, `Fenced`, `LeaseExpired`, `Closed` for one that is
    /// no longer ours. What was taken in before stays.
    pub fn take(&mut self, batch: Vec<Delivery>, accepts: impl Fn(&dyn Link) -> bool) -> Result<()> {
        for delivery in batch {
            let settler = delivery.settler().cloned().ok_or_else(settled)?;
            let native = {
                let session = session(&settler).ok_or_else(foreign)?;
                let link = session.link().ok_or_else(settled)?;
                if !accepts(&*link) {
                    return Err(foreign());
                }
                session.begin_ack(delivery.token())?
            };
            let input = Input { token: delivery.token(), native };
            match self.parts.iter_mut().find(|part| Arc::ptr_eq(&part.settler, &settler)) {
                Some(part) => part.inputs.push((input, delivery)),
                None => self.parts.push(Part { settler, inputs: vec![(input, delivery)] }),
            }
        }
        Ok(())
    }

    /// Those of each session.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The transaction is committed: they are done.
    pub fn committed(mut self) {
        for part in std::mem::take(&mut self.parts) {
            part.end(true);
        }
    }

    /// Nobody knows whether it is: their sessions end.
    pub fn unknown(mut self, error: &Error) {
        for part in std::mem::take(&mut self.parts) {
            if let Some(session) = part.session() {
                session.fail(error.duplicate());
            }
            part.end(true);
        }
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        for part in std::mem::take(&mut self.parts) {
            part.end(false);
        }
    }
}

impl Part {
    /// The session; none if it is no session of the kit, which none is that was taken in.
    pub fn session(&self) -> Option<&Session> {
        session(&self.settler)
    }

    /// The partitions with the adapter's names for their records, in order.
    pub fn partitions(&self) -> BTreeMap<u32, Vec<u64>> {
        let mut partitions: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for (input, _) in &self.inputs {
            partitions.entry(input.token.partition).or_default().push(input.native);
        }
        partitions.values_mut().for_each(|natives| natives.sort_unstable());
        partitions
    }

    /// Whether none of them was taken away meanwhile.
    pub fn is_ours(&self) -> bool {
        let session = self.session();
        session.is_some_and(|session| self.inputs.iter().all(|(input, _)| session.is_confirming(input.token)))
    }

    /// Where a partition goes on once they are acknowledged; none if it is no longer ours.
    pub fn head(&self, partition: u32) -> Option<Head> {
        let of = |(input, _): &&(Input, Delivery)| input.token.partition == partition;
        let done: BTreeSet<u64> =
            self.inputs.iter().filter(of).map(|(input, _)| input.token.sequence).collect();
        self.session()?.head_after(partition, &done)
    }

    /// Dropping what is not done releases it.
    fn end(self, done: bool) {
        let tokens: Vec<_> = self.inputs.iter().map(|(input, _)| input.token).collect();
        if let Some(session) = self.session() {
            session.end_ack(&tokens, done);
        }
        for (_, mut delivery) in self.inputs {
            if done {
                delivery.take_settler();
            }
        }
    }
}

fn session(settler: &Arc<dyn Settler>) -> Option<&Session> {
    settler.context()?.downcast_ref()
}

fn settled() -> Error {
    Error::new(Kind::Closed, "settle", "the delivery is settled, or its consumer has ended")
}

fn foreign() -> Error {
    Error::new(Kind::InvalidConfiguration, "settle", "the delivery comes from another broker handle")
        .advice("open the consumer and the transactional publisher from the same broker handle")
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.parts.iter().map(|part| part.inputs.len()).sum::<usize>();
        f.debug_struct("Inputs").field("deliveries", &count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
