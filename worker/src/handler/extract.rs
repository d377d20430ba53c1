//! Extractors: what a typed handler asks for after its event.

use anybroker_core::{Delivery, Error, Headers, Key, Kind, MessageId, Position, Record};
use tokio::time::Instant;

use super::Context;
use crate::failure::Failure;
use crate::publishers::Publishers;

/// A handler's parameter after the event.
///
/// # For implementors
/// [`extract`](Self::extract) runs for every message; fail with what the message deserves.
pub trait Extract: Sized + Send {
    /// Takes it from the delivery.
    ///
    /// # Errors
    /// What the message has not got: see each implementation.
    fn extract(delivery: &Delivery) -> Result<Self, Failure>;

    /// Whether the worker has got what it takes; asked once, before anything is received.
    ///
    /// # Errors
    /// `InvalidConfiguration`, with what is missing.
    fn check(_context: &Context) -> Result<(), Error> {
        Ok(())
    }
}

/// What the worker itself lends, whatever the message: what handlers of batches may ask for.
///
/// # For implementors
/// The worker's own types implement it; there is nothing else to take.
pub trait FromWorker: Sized + Send {
    /// Takes it from the context.
    ///
    /// # Errors
    /// Fatal, if it is not there.
    fn from_worker(context: Option<&Context>) -> Result<Self, Failure>;

    /// As [`Extract::check`].
    ///
    /// # Errors
    /// `InvalidConfiguration`, with what is missing.
    fn check(_context: &Context) -> Result<(), Error> {
        Ok(())
    }
}

macro_rules! extract_from_worker {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> Extract for $type {
            fn extract(delivery: &Delivery) -> Result<Self, Failure> {
                Self::from_worker(Context::of(delivery))
            }

            fn check(context: &Context) -> Result<(), Error> {
                <Self as FromWorker>::check(context)
            }
        }
    };
}

extract_from_worker!([T: Clone + Send + Sync + 'static] State<T>);
extract_from_worker!([] Deadline);
extract_from_worker!([] Publishers);

/// The application's value of type `T`, given to the worker by [`Builder::state`](crate::Builder::state).
#[derive(Clone, Debug)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromWorker for State<T> {
    fn from_worker(context: Option<&Context>) -> Result<Self, Failure> {
        let state = context.and_then(Context::state);
        state.map(State).ok_or_else(|| Failure::fatal(missing::<T>()))
    }

    fn check(context: &Context) -> Result<(), Error> {
        context.state::<T>().map(drop).ok_or_else(missing::<T>)
    }
}

fn missing<T>() -> Error {
    let text = format!("a handler asks for State<{}>, and the worker has none", std::any::type_name::<T>());
    Error::new(Kind::InvalidConfiguration, "build the worker", text)
        .advice("give it one: Builder::state(value)")
}

/// The message's key; a message without one is poison. Ask for `Option<Key>` where it may have none.
impl Extract for Key {
    fn extract(delivery: &Delivery) -> Result<Self, Failure> {
        delivery.to_key().ok_or_else(|| Failure::poison("the message has no key"))
    }
}

impl Extract for Option<Key> {
    fn extract(delivery: &Delivery) -> Result<Self, Failure> {
        Ok(delivery.to_key())
    }
}

/// The message's id; a message without one is poison.
impl Extract for MessageId {
    fn extract(delivery: &Delivery) -> Result<Self, Failure> {
        delivery.id().ok_or_else(|| Failure::poison("the message has no id"))
    }
}

impl Extract for Headers {
    fn extract(delivery: &Delivery) -> Result<Self, Failure> {
        let mut headers = Headers::default();
        delivery.headers().for_each(|(name, value)| headers.append(name.to_owned(), value.to_vec()));
        Ok(headers)
    }
}

/// The whole record: payload, attributes, headers.
impl Extract for Record {
    fn extract(delivery: &Delivery) -> Result<Self, Failure> {
        Ok(delivery.record().clone())
    }
}

/// Where the broker keeps the message, if it says so.
impl Extract for Option<Position> {
    fn extract(delivery: &Delivery) -> Result<Self, Failure> {
        Ok(delivery.position())
    }
}

/// 1 for the first attempt, 2 for the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(pub u32);

impl Extract for Attempt {
    fn extract(delivery: &Delivery) -> Result<Self, Failure> {
        Ok(Attempt(delivery.attempt()))
    }
}

/// When the handler is dropped; none if it may take for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Option<Instant>);

impl FromWorker for Deadline {
    fn from_worker(context: Option<&Context>) -> Result<Self, Failure> {
        Ok(Deadline(context.and_then(Context::deadline)))
    }
}

impl FromWorker for Publishers {
    fn from_worker(context: Option<&Context>) -> Result<Self, Failure> {
        let context = context.ok_or_else(|| Failure::fatal("the handler runs outside of a worker"))?;
        Ok(context.publishers())
    }
}
