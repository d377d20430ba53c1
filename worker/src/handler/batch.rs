//! Handlers of batches: many events at once, an outcome for each.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{self, Poll};

use anybroker_core::{Delivery, Error, Event};
use futures::future::BoxFuture;
use tower::Service;

use super::context::Context;
use super::extract::FromWorker;
use crate::failure::{Failure, HandlerError};

/// An event of a batch, with the message that it came in. It reads as the event.
#[derive(Debug)]
pub struct Item<T> {
    /// The event.
    pub event: T,
    /// The message: its key, id, headers, attempt. It is settled by the worker.
    pub delivery: Delivery,
}

impl<T> Deref for Item<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.event
    }
}

/// What became of the messages of a batch: one result for each, in order.
#[derive(Debug)]
pub struct Outcomes(pub(crate) Result<Vec<Result<(), Failure>>, Failure>);

impl From<Vec<Result<(), Failure>>> for Outcomes {
    fn from(each: Vec<Result<(), Failure>>) -> Self {
        Outcomes(Ok(each))
    }
}

impl From<()> for Outcomes {
    fn from((): ()) -> Self {
        Outcomes(Ok(Vec::new()))
    }
}

/// All of them succeeded, or all of them failed.
impl<E: Into<Failure>> From<Result<(), E>> for Outcomes {
    fn from(all: Result<(), E>) -> Self {
        Outcomes(all.map(|()| Vec::new()).map_err(Into::into))
    }
}

impl Outcomes {
    /// A result for each of `count` messages. None at all means that all succeeded.
    ///
    /// # For implementors
    /// For layers around handlers of batches, which answer for some of the messages themselves.
    pub fn each(self, count: usize) -> Vec<Result<(), Failure>> {
        match self.0 {
            Ok(each) if each.len() == count => each,
            Ok(none) if none.is_empty() => (0..count).map(|_| Ok(())).collect(),
            Ok(each) => {
                let text = format!("the handler gave {} outcomes for {count} messages", each.len());
                let failure = Failure::permanent(text);
                (0..count).map(|_| Err(failure.again())).collect()
            }
            Err(failure) => (0..count).map(|_| Err(failure.again())).collect(),
        }
    }
}

/// An async function over a batch of events of one type, and up to three values of the worker's: [`State`](crate::State),
/// [`Publishers`](crate::Publishers), [`Deadline`](crate::Deadline).
///
/// ```
/// use anybroker_core::Event;
/// use anybroker_worker::{Failure, Item};
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Clicked { page: String }
/// impl Event for Clicked { const TYPE: &'static str = "clicked"; }
///
/// async fn store(clicks: Vec<Item<Clicked>>) -> Vec<Result<(), Failure>> {
///     clicks.iter().map(|click| match click.page.is_empty() {
///         true => Err(Failure::permanent("a click without a page")),
///         false => Ok(()),
///     }).collect()
/// }
/// ```
pub trait BatchHandler<A>: Send + Sync + 'static {
    /// What it handles.
    type Event: Event + Send;

    /// Calls the function with what has been decoded.
    fn handle(&self, batch: Vec<Item<Self::Event>>) -> BoxFuture<'static, Outcomes>;

    /// Whether the worker has got what the function takes.
    ///
    /// # Errors
    /// `InvalidConfiguration`, with what is missing.
    fn check(&self, context: &Context) -> Result<(), Error>;
}

macro_rules! batch_handler {
    ($($value:ident),*) => {
        impl<F, Fut, T, $($value,)*> BatchHandler<(T, $($value,)*)> for F
        where
            F: Fn(Vec<Item<T>>, $($value),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Into<Outcomes>,
            T: Event + Send,
            $($value: FromWorker,)*
        {
            type Event = T;

            fn handle(&self, batch: Vec<Item<T>>) -> BoxFuture<'static, Outcomes> {
                #[allow(unused_variables)]
                let taken = || -> Result<_, Failure> {
                    let context = batch.first().and_then(|item| Context::of(&item.delivery));
                    Ok(($($value::from_worker(context)?,)*))
                };
                #[allow(non_snake_case)]
                match taken() {
                    Ok(($($value,)*)) => {
                        let handled = self(batch, $($value),*);
                        Box::pin(async move { handled.await.into() })
                    }
                    Err(failure) => Box::pin(std::future::ready(Outcomes(Err(failure)))),
                }
            }

            fn check(&self, _context: &Context) -> Result<(), Error> {
                $($value::check(_context)?;)*
                Ok(())
            }
        }
    };
}

batch_handler!();
batch_handler!(A1);
batch_handler!(A1, A2);
batch_handler!(A1, A2, A3);

/// A batch handler as a service: decodes, and spares the handler what does not decode.
pub struct Batched<H, A> {
    handler: Arc<H>,
    arguments: std::marker::PhantomData<fn() -> A>,
}

impl<H, A> Batched<H, A> {
    /// The service that a layer can be put around.
    pub fn new(handler: H) -> Self {
        Batched { handler: Arc::new(handler), arguments: std::marker::PhantomData }
    }
}

impl<H, A> Clone for Batched<H, A> {
    fn clone(&self) -> Self {
        Batched { handler: self.handler.clone(), arguments: self.arguments }
    }
}

impl<H, A> std::fmt::Debug for Batched<H, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Batched")
    }
}

impl<A: 'static, H: BatchHandler<A>> Service<Vec<Delivery>> for Batched<H, A> {
    type Response = Outcomes;
    type Error = HandlerError;
    type Future = BoxFuture<'static, Result<Outcomes, HandlerError>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, batch: Vec<Delivery>) -> Self::Future {
        let mut outcomes: Vec<Option<Result<(), Failure>>> = Vec::with_capacity(batch.len());
        let mut decoded = Vec::with_capacity(batch.len());
        for delivery in batch {
            match delivery.event() {
                Ok(event) => {
                    decoded.push(Item { event, delivery });
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Err(Failure::from(error)))),
            }
        }
        let count = decoded.len();
        if count == 0 {
            return Box::pin(std::future::ready(Ok(Outcomes(Ok(outcomes.into_iter().flatten().collect())))));
        }
        let handled = self.handler.handle(decoded);
        Box::pin(async move {
            let mut each = handled.await.each(count).into_iter();
            let merged = outcomes.into_iter().map(|known| known.or_else(|| each.next()).unwrap_or(Ok(())));
            Ok(Outcomes(Ok(merged.collect())))
        })
    }
}

/// What [`Builder::subscribe_batch`](crate::Builder::subscribe_batch) takes: an async function over a batch of events, or any
/// `tower::Service<Vec<Delivery>>` that can be cloned. `M` tells them apart and is never written.
pub trait IntoBatchService<M> {
    /// The service; each of the concurrent handlers has a clone.
    type Service: Service<Vec<Delivery>, Response: Into<Outcomes>, Error: Into<crate::BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static;

    /// Makes the service.
    ///
    /// # Errors
    /// `InvalidConfiguration` if the worker has not got what the handler asks for.
    fn into_batch_service(self, context: &Context) -> Result<Self::Service, Error>;
}

impl<A: 'static, H: BatchHandler<A>> IntoBatchService<super::ByFunction<A>> for H {
    type Service = Batched<H, A>;

    fn into_batch_service(self, context: &Context) -> Result<Batched<H, A>, Error> {
        self.check(context)?;
        Ok(Batched::new(self))
    }
}

impl<S> IntoBatchService<super::ByService> for S
where
    S: Service<Vec<Delivery>, Response: Into<Outcomes>, Error: Into<crate::BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    type Service = S;

    fn into_batch_service(self, _context: &Context) -> Result<S, Error> {
        Ok(self)
    }
}
