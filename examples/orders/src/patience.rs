//! How long something is waited for.

use std::future::Future;
use std::time::{Duration, Instant};

use anybroker::{Error, Kind, Result};

/// How long nothing may happen before the run is given up.
pub(crate) const STALL: Duration = Duration::from_secs(60);

/// Does something again while a database or a broker is away.
pub(crate) async fn patiently<T>(work: impl AsyncFn() -> Result<T>) -> Result<T> {
    let patience = Patience::begin();
    loop {
        match work().await {
            Err(error) => patience.bear(error).await?,
            done => return done,
        }
    }
}

/// How long something has been tried.
pub(crate) struct Patience(Instant);

impl Patience {
    pub(crate) fn begin() -> Self {
        Patience(Instant::now())
    }

    /// Waits a little, if another attempt may help.
    pub(crate) async fn bear(&self, error: Error) -> Result<()> {
        if !error.is_retryable() || self.0.elapsed() >= STALL {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(())
    }
}

/// What takes longer will not end by itself: whoever waits is told for what.
pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = tokio::time::timeout(STALL, work).await;
    let late = || Error::new(Kind::TimedOut, "orders", format!("{what} took more than {STALL:?}"));
    ended.unwrap_or_else(|_| Err(late()))
}
