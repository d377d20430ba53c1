//! Virtual time beside what takes real time: a database, a thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::advance;

/// How long nothing may happen before time moves, and by how much it then does.
const STILL: Duration = Duration::from_micros(500);
const STEP: Duration = Duration::from_millis(20);

/// Moves the runtime's time whenever nothing has happened for a while, until it is dropped. By itself a runtime with paused
/// time moves it as soon as no task can run, also while one waits for a thread.
pub(crate) struct Clock(Arc<AtomicBool>);

impl Clock {
    /// Of the runtime that it is called in, which has one thread.
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (still, mut moves) = mpsc::channel(1);
        tokio::task::spawn_local(async move {
            while moves.recv().await == Some(()) {
                advance(STEP).await;
            }
        });
        let (stopped, metrics) = (stop.clone(), Handle::current().metrics());
        // While a blocking task runs, the runtime leaves its time alone.
        tokio::task::spawn_blocking(move || {
            let mut before = 0;
            while !stopped.load(Ordering::Acquire) {
                std::thread::sleep(STILL);
                // Odd while it is parked.
                let parks = metrics.worker_park_unpark_count(0);
                let is_still = parks == before && parks % 2 == 1;
                before = parks;
                if is_still && still.blocking_send(()).is_err() {
                    return;
                }
            }
        });
        Clock(stop)
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
