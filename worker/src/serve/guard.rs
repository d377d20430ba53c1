//! Keeps a handler within its bounds: it may panic and it may hang, and both are an error of its message.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use super::desk::Desk;
use crate::failure::{BoxError, Failure};
use crate::handler::{Context, HandlerSettler};
use crate::outputs::Output;

/// A service, and what takes its place when it has panicked.
pub(super) struct Guarded<S> {
    settler: Arc<HandlerSettler>,
    desk: Arc<Desk>,
    service: S,
    pristine: S,
}

impl<S: Clone> Guarded<S> {
    pub(super) fn new(desk: Arc<Desk>, context: Context, service: S) -> Self {
        let settler = Arc::new(HandlerSettler::new(desk.settler.clone(), context));
        Guarded { settler, desk, pristine: service.clone(), service }
    }

    /// Waits until the service takes a call, however long: an open circuit or a rate limit holds messages back here. Says when
    /// it does, which is `now` if it did not wait. None if the desk was closed meanwhile.
    pub(super) async fn ready<R>(&mut self, now: Instant) -> Option<Result<Instant, Failure>>
    where
        S: Service<R, Error: Into<BoxError>>,
    {
        let service = &mut self.service;
        let ready = async { service.ready().await.map(drop).map_err(|error| Failure::of(error.into())) };
        let mut ready = std::pin::pin!(AssertUnwindSafe(ready).catch_unwind());
        let (ready, at) = match futures::poll!(&mut ready) {
            Poll::Ready(ready) => (ready, now),
            Poll::Pending => tokio::select! {
                biased;
                ready = ready => (ready, Instant::now()),
                () = self.desk.closed() => return None,
            },
        };
        Some(ready.unwrap_or_else(|panic| Err(self.panicked(&*panic))).map(|()| at))
    }

    /// Calls the service, which is ready since `now`. What it is called with is made here, since it would be moved with every
    /// future around this one.
    pub(super) async fn call<R>(
        &mut self,
        now: Instant,
        request: impl FnOnce(&Arc<HandlerSettler>) -> R,
    ) -> Result<S::Response, Failure>
    where
        S: Service<R, Error: Into<BoxError>>,
    {
        let limit = self.desk.handling.timeout;
        if self.desk.done.is_some() {
            self.settler.context.begin_outputs();
        }
        let (service, settler) = (&mut self.service, &self.settler);
        let call = async { service.call(request(settler)).await.map_err(|error| Failure::of(error.into())) };
        let call = AssertUnwindSafe(call).catch_unwind();
        let ended = match limit {
            None => Some(call.await),
            Some(limit) => {
                let until = now + limit;
                self.settler.context.set_deadline(until);
                by(until, call).await
            }
        };
        match (ended, limit) {
            (Some(Ok(result)), _) => result,
            (Some(Err(panic)), _) => Err(self.panicked(&*panic)),
            (None, limit) => Err(too_long(limit.unwrap_or_default())),
        }
    }

    /// What the handler that has ended has published, if that belongs to a transaction.
    pub(super) fn take_outputs(&self) -> Vec<Output> {
        if self.desk.done.is_none() {
            return Vec::new();
        }
        self.settler.context.end_outputs()
    }

    fn panicked(&mut self, panic: &(dyn Any + Send)) -> Failure {
        self.service = self.pristine.clone();
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Failure::retryable(format!("the handler panicked: {}", text.unwrap_or("without a message")))
    }
}

/// What comes of `future` until then. One that does not wait gets no timer.
async fn by<F: Future>(until: Instant, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    if let Poll::Ready(value) = futures::poll!(&mut future) {
        return Some(value);
    }
    tokio::time::timeout_at(until, future).await.ok()
}

fn too_long(limit: Duration) -> Failure {
    Failure::retryable(format!("the handler took longer than {limit:?} and was dropped"))
}
