//! Crashes at chosen awaits: a future is polled so many times and then dropped, as a process that dies there.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// So often an attempt must end before its end counts: an await that is answered at once is none, and on a busy machine, where a
/// database's thread is done before anybody asks, that is any of them.
const ENDS: usize = 3;

/// Which await is the next to die at.
#[derive(Debug, Default)]
pub(crate) struct Awaits {
    crashed: usize,
    ended: usize,
}

impl Awaits {
    /// The next one's number, the first of which is 1.
    pub(crate) fn at(&self) -> usize {
        self.crashed + 1
    }

    /// Whether to go on, after an attempt that ended or died there.
    pub(crate) fn go_on(&mut self, ended: bool) -> bool {
        if ended {
            self.ended += 1;
        } else {
            (self.crashed, self.ended) = (self.crashed + 1, 0);
        }
        self.ended < ENDS
    }

    /// How many attempts died.
    pub(crate) fn crashed(&self) -> usize {
        self.crashed
    }
}

/// When it dies, at an await that it was told to die at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// What it waits for has only been asked for.
    Asked,
    /// What it waits for may have come; it has not seen it.
    Answered,
}

impl Crash {
    pub(crate) const BOTH: [Crash; 2] = [Crash::Asked, Crash::Answered];

    /// Drops the future at its await number `at`, the first of which is 1; its output if it ends before.
    pub(crate) async fn at<F: Future>(self, at: usize, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut polled = 0;
        poll_fn(|context| {
            if polled == at {
                return Poll::Ready(None);
            }
            polled += 1;
            match future.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if self == Crash::Asked && polled == at => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Starts an attempt and crashes it at its first await, another at its second, and so on until they end; calls `after` after
    /// each with its number, and gives how many crashed.
    pub(crate) async fn at_every_await<F: Future>(
        self,
        mut attempt: impl FnMut() -> F,
        mut after: impl AsyncFnMut(usize),
    ) -> usize {
        let mut awaits = Awaits::default();
        loop {
            let at = awaits.at();
            let ended = self.at(at, attempt()).await.is_some();
            after(at).await;
            if !awaits.go_on(ended) {
                return awaits.crashed();
            }
        }
    }
}

/// Crashes a liar at every await until it is caught: an await that has its answer at once is none, and the one that matters
/// may be one of those.
pub(crate) async fn caught(mut round: impl AsyncFnMut() -> bool) {
    for _ in 0..20 {
        if round().await {
            return;
        }
    }
    panic!("a liar was not noticed in 20 rounds of crashes");
}

#[tokio::test]
async fn it_crashes_where_it_is_told_to() {
    use std::cell::Cell;
    for crash in Crash::BOTH {
        let steps = Cell::new(0);
        let attempt = || async {
            steps.set(0);
            for _ in 0..3 {
                tokio::task::yield_now().await;
                steps.set(steps.get() + 1);
            }
        };
        let mut seen = Vec::new();
        let crashed = crash.at_every_await(attempt, async |_| seen.push(steps.get())).await;
        assert_eq!((crashed, &seen[..]), (3, &[0, 1, 2, 3, 3, 3][..]));
    }
}
