//! The signals that end a program.

use anybroker_core::Result;

/// SIGTERM and SIGINT, which ask to stop, caught from its creation on; elsewhere than on Unix, ctrl-C.
///
/// [`Worker::run`](crate::Worker::run) catches them by itself; a program that has more to end uses this and
/// [`run_until`](crate::Worker::run_until).
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    each: [tokio::signal::unix::Signal; 2],
}

#[cfg(unix)]
impl Signals {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// `Unexpected` if the system refuses.
    pub fn catch() -> Result<Self> {
        use anybroker_core::{Error, Kind};
        use tokio::signal::unix::{SignalKind, signal};
        let catch = |kind| {
            signal(kind).map_err(|error| {
                Error::new(Kind::Unexpected, "catch signals", format!("the system refuses: {error}"))
            })
        };
        Ok(Signals { each: [catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?] })
    }

    /// Waits for the next one.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) {
        let [terminate, interrupt] = &mut self.each;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// None.
    pub fn catch() -> Result<Self> {
        Ok(Signals {})
    }

    /// Waits for the next one.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
