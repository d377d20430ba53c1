//! Keeps a handler within its bounds: it may panic and it may hang, and both are an error of its message.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use tower::Service;

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
        let context = context.with_limit(desk.handling.timeout);
        let settler = Arc::new(HandlerSettler::new(desk.settler.clone(), context));
        Guarded { settler, desk, pristine: service.clone(), service }
    }

    /// Waits until the service takes a call, however long: an open circuit or a rate limit holds messages back here. None if
    /// the desk was closed meanwhile.
    pub(super) async fn ready<R>(&mut self) -> Option<Result<(), Failure>>
    where
        S: Service<R, Error: Into<BoxError>>,
    {
        let service = &mut self.service;
        let mut ready = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| service.poll_ready(cx))) {
            Ok(polled) => polled.map_err(|error| Failure::of(error.into())).map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        });
        let ready = match futures::poll!(&mut ready) {
            Poll::Ready(ready) => ready,
            Poll::Pending => tokio::select! {
                biased;
                ready = ready => ready,
                () = self.desk.closed() => return None,
            },
        };
        Some(ready.unwrap_or_else(|panic| Err(self.panicked(&*panic))))
    }

    /// Calls the service, which is ready. What it is called with is made here, since it would be moved with every future
    /// around this one.
    pub(super) async fn call<R>(
        &mut self,
        request: impl FnOnce(&Arc<HandlerSettler>) -> R,
    ) -> Result<S::Response, Failure>
    where
        S: Service<R, Error: Into<BoxError>>,
    {
        if self.desk.done.is_some() {
            self.settler.context.begin_outputs();
        }
        self.settler.context.begin_deadline();
        let (service, settler) = (&mut self.service, &self.settler);
        let call = async { service.call(request(settler)).await.map_err(|error| Failure::of(error.into())) };
        let ended = {
            let call = std::pin::pin!(AssertUnwindSafe(call).catch_unwind());
            in_time(&settler.context, call).await
        };
        match ended {
            Some(Ok(result)) => result,
            Some(Err(panic)) => Err(self.panicked(&*panic)),
            None => Err(too_long(self.desk.handling.timeout.unwrap_or_default())),
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

/// What comes of `future` until the deadline. One that does not wait gets no timer.
async fn in_time<F: Future>(context: &Context, mut future: Pin<&mut F>) -> Option<F::Output> {
    if let Poll::Ready(value) = futures::poll!(&mut future) {
        return Some(value);
    }
    match context.deadline() {
        Some(until) => tokio::time::timeout_at(until, future).await.ok(),
        None => Some(future.await),
    }
}

fn too_long(limit: Duration) -> Failure {
    Failure::retryable(format!("the handler took longer than {limit:?} and was dropped"))
}
