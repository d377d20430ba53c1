//! Whose turn it is: the loop's, on a thread of its own, or that of who waits for records (decision 37).

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anybroker_core::kit::Session;
use anybroker_core::{Error, Kind};

use crate::blocking;
use crate::fetch::Loop;

/// What the loop does while it has nothing to do.
pub(crate) struct Rest {
    pub(crate) longest: Duration,
    /// It waits for settlements as well.
    pub(crate) draining: Option<Arc<Session>>,
}

impl Rest {
    fn take(self) {
        match self.draining {
            Some(session) => blocking::park(self.longest, session.settlement()),
            None => thread::park_timeout(self.longest),
        }
    }
}

/// The loop, which also those who wait for records may turn. None once it has ended.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Mutex<Option<Loop>>>);

impl Turns {
    pub(crate) fn new(looping: Loop) -> Self {
        Turns(Arc::new(Mutex::new(Some(looping))))
    }

    /// Runs until the consumer is closed, dropped, or fails.
    pub(crate) fn run(self) {
        let Some(session) = self.attach() else { return };
        let ends = Ends(session);
        loop {
            let mut looping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if looping.as_ref().is_none_or(Loop::is_finished) {
                let ended = looping.take();
                drop(looping);
                ended.into_iter().for_each(Loop::leave);
                break;
            }
            let rest = looping.as_mut().and_then(Loop::turn);
            drop(looping);
            rest.into_iter().for_each(Rest::take);
        }
        drop(ends);
    }

    fn attach(&self) -> Option<Arc<Session>> {
        let looping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let looping = looping.as_ref()?;
        looping.wake.attach(thread::current());
        Some(looping.session.clone())
    }

    /// Moves records into the session unannounced, on this thread: of two threads that hand each record on, one is spared.
    /// Never waits: none if the loop has its turn at the moment, or must have one.
    pub(crate) fn refill(&self) -> Option<usize> {
        self.0.try_lock().ok()?.as_mut()?.refill()
    }
}

/// Whatever ends the loop, a panic of the client library included, ends the session.
struct Ends(Arc<Session>);

impl Drop for Ends {
    fn drop(&mut self) {
        if thread::panicking() {
            let text = "the client library panicked, and the consumer has ended";
            self.0.fail(Error::new(Kind::Unexpected, "receive", text));
        }
    }
}
