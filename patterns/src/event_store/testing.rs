//! Tests of aggregates, without a database: given what happened, when a command comes, then this happens.

use std::fmt::Debug;

use super::{Aggregate, AggregateEvent, Recorded};

/// Begins a test: an aggregate to which these events have happened. See [`Aggregate`] for an example.
///
/// Every event is written and read as the event store does it, so that one that does not survive that is noticed.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::default();
    events.into_iter().for_each(|event| state.apply(&stored(&event)));
    Given { state }
}

/// An aggregate with a history.
#[derive(Debug)]
pub struct Given<A> {
    state: A,
}

/// What a command did.
#[derive(Debug)]
pub struct Then<A: Aggregate> {
    state: A,
    outcome: Result<Vec<A::Event>, A::Error>,
}

impl<A: Aggregate> Given<A> {
    /// A command comes.
    pub fn when(self, command: A::Command) -> Then<A> {
        let outcome = self.state.decide(command);
        Then { state: self.state, outcome }
    }
}

impl<A: Aggregate> Then<A>
where
    A::Event: PartialEq + Debug,
    A::Error: PartialEq + Debug,
{
    /// Exactly these events happened; none for a command that changes nothing.
    ///
    /// # Panics
    /// If it is not so: shows both.
    #[track_caller]
    pub fn then(mut self, events: impl IntoIterator<Item = A::Event>) -> Given<A> {
        let expected: Vec<_> = events.into_iter().collect();
        assert_eq!(self.outcome, Ok(expected), "the command did something else (left) than expected (right)");
        self.outcome.iter().flatten().for_each(|event| self.state.apply(&stored(event)));
        Given { state: self.state }
    }

    /// The command was refused with this error.
    ///
    /// # Panics
    /// If it is not so: shows both.
    #[track_caller]
    pub fn then_error(self, error: A::Error) {
        assert_eq!(self.outcome, Err(error), "the command did something else (left) than expected (right)");
    }
}

/// The event as it comes back from the store.
#[track_caller]
fn stored<E: AggregateEvent>(event: &E) -> E {
    let read = event.to_new().and_then(|new| {
        E::from_recorded(&Recorded {
            position: 1,
            stream: "test".into(),
            version: 1,
            event_type: new.event_type,
            schema_version: new.schema_version,
            data: new.data,
            metadata: new.metadata,
        })
    });
    assert!(read.is_ok(), "an event does not survive being stored: {:?}", read.as_ref().err());
    #[allow(clippy::unwrap_used)]
    read.unwrap()
}
