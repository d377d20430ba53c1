//! Async functions as handlers.

use std::future::Future;

use anybroker_core::{Delivery, Error, Event};
use futures::future::BoxFuture;

use super::{Context, Extract};
use crate::failure::Failure;

/// An async function over a typed event and up to eight [extractors](Extract).
///
/// ```
/// use anybroker_core::{Event, Key};
/// use anybroker_worker::{Attempt, Failure, Router};
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct OrderPlaced { cents: u64 }
/// impl Event for OrderPlaced { const TYPE: &'static str = "order.placed"; }
///
/// async fn bill(order: OrderPlaced, key: Key, attempt: Attempt) -> Result<(), Failure> {
///     println!("{key}: {} cents, attempt {}", order.cents, attempt.0);
///     Ok(())
/// }
/// let router = Router::new().on(bill);
/// ```
pub trait Handler<A>: Send + Sync + 'static {
    /// What it handles.
    type Event: Event;

    /// Decodes the event, extracts the rest and calls the function.
    fn handle(&self, delivery: &Delivery) -> BoxFuture<'static, Result<(), Failure>>;

    /// Whether the worker has got what the extractors take.
    ///
    /// # Errors
    /// `InvalidConfiguration`, with what is missing.
    fn check(&self, context: &Context) -> Result<(), Error>;
}

/// What a handler returns: nothing, or a result whose error becomes a [`Failure`].
pub trait IntoResult {
    /// The result.
    ///
    /// # Errors
    /// The handler's.
    fn into_result(self) -> Result<(), Failure>;
}

impl IntoResult for () {
    fn into_result(self) -> Result<(), Failure> {
        Ok(())
    }
}

impl<E: Into<Failure>> IntoResult for Result<(), E> {
    fn into_result(self) -> Result<(), Failure> {
        self.map_err(Into::into)
    }
}

macro_rules! handler {
    ($($extractor:ident),*) => {
        impl<F, Fut, T, $($extractor,)*> Handler<(T, $($extractor,)*)> for F
        where
            F: Fn(T, $($extractor),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: IntoResult,
            T: Event,
            $($extractor: Extract,)*
        {
            type Event = T;

            fn handle(&self, delivery: &Delivery) -> BoxFuture<'static, Result<(), Failure>> {
                let extracted = || -> Result<_, Failure> {
                    Ok((delivery.event::<T>()?, $($extractor::extract(delivery)?,)*))
                };
                #[allow(non_snake_case)]
                match extracted() {
                    Ok((event, $($extractor,)*)) => {
                        let handled = self(event, $($extractor),*);
                        Box::pin(async move { handled.await.into_result() })
                    }
                    Err(failure) => Box::pin(std::future::ready(Err(failure))),
                }
            }

            fn check(&self, _context: &Context) -> Result<(), Error> {
                $($extractor::check(_context)?;)*
                Ok(())
            }
        }
    };
}

handler!();
handler!(A1);
handler!(A1, A2);
handler!(A1, A2, A3);
handler!(A1, A2, A3, A4);
handler!(A1, A2, A3, A4, A5);
handler!(A1, A2, A3, A4, A5, A6);
handler!(A1, A2, A3, A4, A5, A6, A7);
handler!(A1, A2, A3, A4, A5, A6, A7, A8);
