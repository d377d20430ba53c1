//! Between async callers and librdkafka's blocking calls.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use anybroker_core::kit::within;
use anybroker_core::{Error, Kind, Result};
use tokio::sync::oneshot;

/// Runs a blocking call off the async threads. The call bounds itself by `deadline`; a little is added here for a
/// call that does not.
///
/// # Errors
/// The call's own, or `TimedOut`.
///
/// # Cancel safety
/// A cancelled call goes on in the background until its own deadline.
pub(crate) async fn run<T: Send + 'static>(
    deadline: Duration,
    operation: &'static str,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    within(deadline + Duration::from_secs(2), operation, async {
        let joined = tokio::task::spawn_blocking(call).await;
        joined.unwrap_or_else(|e| {
            Err(Error::new(Kind::Unexpected, operation, "the call did not finish").with_source(e))
        })
    })
    .await
}

/// A thread with an owner, who can wait for its end.
pub(crate) struct Owned {
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

/// Starts a thread.
///
/// # Errors
/// `Unexpected` if the system gives none.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<Owned> {
    let (ending, ended) = oneshot::channel::<()>();
    let work = move || {
        // Dropped also when the work panics.
        let _ending = ending;
        work();
    };
    let thread = thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|e| Error::new(Kind::Unexpected, "open", "no thread could be started").with_source(e))?;
    Ok(Owned { thread, ended })
}

impl Owned {
    /// Wakes it where it is parked.
    pub(crate) fn unpark(&self) {
        self.thread.thread().unpark();
    }

    /// Waits for the thread to end, or to be so near its end that nothing of it is left to wait for.
    ///
    /// # Cancel safety
    /// A cancelled call leaves the thread to end by itself.
    pub(crate) async fn ended(self) {
        let _ = self.ended.await;
    }

    /// Waits for the thread to end.
    ///
    /// # Errors
    /// `TimedOut`: it ends by itself, later. `Unexpected` if it panicked.
    ///
    /// # Cancel safety
    /// A cancelled call leaves the thread to end by itself.
    pub(crate) async fn join(self, deadline: Duration, operation: &'static str) -> Result<()> {
        let _ = within(deadline, operation, async { Ok(self.ended.await) }).await?;
        // It has ended but for a few instructions, so this does not block.
        let joined = self.thread.join();
        joined.map_err(|_| Error::new(Kind::Unexpected, operation, "a thread of the adapter panicked"))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on a thread of our own; none if `deadline` passes first. For futures that need no runtime.
pub(crate) fn wait<T>(deadline: Duration, future: impl Future<Output = T>) -> Option<T> {
    let until = Instant::now() + deadline;
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        let left = until.checked_duration_since(Instant::now())?;
        thread::park_timeout(left);
    }
}

/// Parks this thread until somebody unparks it, `future` is ready, or `rest` has passed.
pub(crate) fn park(rest: Duration, future: impl Future<Output = ()>) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::park_timeout(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_future_or_the_deadline() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        thread::spawn(move || sender.send(7));
        assert_eq!(wait(Duration::from_secs(5), receiver), Some(Ok(7)));
        assert_eq!(wait(Duration::from_millis(5), std::future::pending::<()>()), None);
    }
}
