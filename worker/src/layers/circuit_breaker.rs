//! Stops handing messages to a handler that only fails.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, Sleep};
use tower::{Layer, Service};

use crate::failure::{BoxError, Class, Failure, HandlerError};

/// A layer that opens after so many retryable failures in a row, whatever the messages: what the handler depends on is away.
/// While it is open nothing is handled: messages wait unacknowledged and use up no attempts, and the broker feels the
/// back-pressure. After a pause one message is let through to try; when it succeeds, all go on.
///
/// ```
/// use std::time::Duration;
/// use anybroker_worker::{CircuitBreaker, Router};
/// use tower::ServiceBuilder;
/// let breaker = CircuitBreaker::new(20, Duration::from_secs(10));
/// let service = ServiceBuilder::new().layer(breaker).service(Router::new());
/// ```
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    failures: u32,
    pause: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    /// So many have failed in a row.
    Closed(u32),
    /// Nobody is let through before that.
    Open(Instant),
    /// One was let through and has not ended; if it is never heard of again, the next may try then.
    Trying(Instant),
}

impl CircuitBreaker {
    /// Opens after `failures` in a row, for `pause`.
    pub fn new(failures: u32, pause: Duration) -> Self {
        CircuitBreaker { failures: failures.max(1), pause, state: Arc::new(Mutex::new(State::Closed(0))) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a message through, or says until when it waits.
    fn enter(&self) -> Result<(), Instant> {
        let (mut state, now) = (self.state(), Instant::now());
        match *state {
            State::Closed(_) => Ok(()),
            State::Open(until) | State::Trying(until) if until > now => Err(until),
            State::Open(_) | State::Trying(_) => {
                *state = State::Trying(now + self.pause);
                Ok(())
            }
        }
    }

    fn note(&self, failed: bool) {
        let mut state = self.state();
        *state = match (&*state, failed) {
            (_, false) => State::Closed(0),
            (State::Closed(before), true) if before + 1 < self.failures => State::Closed(before + 1),
            (_, true) => {
                tracing::warn!(pause = ?self.pause, "handlers only fail: the circuit is open");
                State::Open(Instant::now() + self.pause)
            }
        };
    }
}

impl<I> Layer<I> for CircuitBreaker {
    type Service = CircuitBroken<I>;

    fn layer(&self, inner: I) -> CircuitBroken<I> {
        CircuitBroken { breaker: self.clone(), inner, waiting: None }
    }
}

/// The service that [`CircuitBreaker`] makes.
#[derive(Debug)]
pub struct CircuitBroken<I> {
    breaker: CircuitBreaker,
    inner: I,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<I: Clone> Clone for CircuitBroken<I> {
    fn clone(&self) -> Self {
        CircuitBroken { breaker: self.breaker.clone(), inner: self.inner.clone(), waiting: None }
    }
}

impl<R, I> Service<R> for CircuitBroken<I>
where
    I: Service<R, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = I::Response;
    type Error = HandlerError;
    type Future = BoxFuture<'static, Result<I::Response, HandlerError>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), HandlerError>> {
        ready!(self.inner.poll_ready(context)).map_err(|error| HandlerError(Failure::of(error.into())))?;
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(context));
                self.waiting = None;
            }
            match self.breaker.enter() {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(until) => self.waiting = Some(Box::pin(tokio::time::sleep_until(until))),
            }
        }
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (breaker, handled) = (self.breaker.clone(), self.inner.call(request));
        Box::pin(async move {
            let mut open = Ended { breaker: Some(breaker) };
            let result = handled.await.map_err(|error| Failure::of(error.into()));
            let failed = result.as_ref().is_err_and(|failure| failure.class() == Class::Retryable);
            if let Some(breaker) = open.breaker.take() {
                breaker.note(failed);
            }
            result.map_err(HandlerError)
        })
    }
}

/// A handler that panics or is dropped for its time-out has failed too.
struct Ended {
    breaker: Option<CircuitBreaker>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(breaker) = self.breaker.take() {
            breaker.note(true);
        }
    }
}
