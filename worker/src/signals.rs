//! The signals that end a worker.

use anybroker_core::{Error, Kind, Result};

/// SIGTERM and SIGINT; elsewhere than on Unix, ctrl-C.
pub(crate) struct Signals {
    #[cfg(unix)]
    each: [tokio::signal::unix::Signal; 2],
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn catch() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let catch = |kind| signal(kind).map_err(refused);
        Ok(Signals { each: [catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?] })
    }

    pub(crate) async fn next(&mut self) {
        let [terminate, interrupt] = &mut self.each;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn catch() -> Result<Self> {
        Ok(Signals {})
    }

    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg_attr(not(unix), allow(dead_code))]
fn refused(error: std::io::Error) -> Error {
    Error::new(Kind::Unexpected, "catch signals", "the system refuses").with_source(error)
}
