//! Connecting, with a deadline over whatever the backend has.

use std::time::Duration;

use anybroker::{Broker, Error, Kind, Result};

use crate::failure::Failure;
use crate::place::Place;

/// Longer than every backend's own deadline, so that its better text is seen.
const DEADLINE: Duration = Duration::from_secs(60);

/// Opens the broker.
pub(crate) async fn connect(place: &Place) -> Result<Broker, Failure> {
    open(&place.url()?).await
}

async fn open(url: &str) -> Result<Broker, Failure> {
    Ok(within("connect", anybroker::connect(url)).await?)
}

/// Opens the broker for a command whose messages a person expects to find again.
pub(crate) async fn connect_to_keep(place: &Place) -> Result<Broker, Failure> {
    let url = place.url()?;
    let broker = open(&url).await?;
    if url.starts_with("memory:") {
        crate::output::note("memory:// lives inside this command: nothing is kept after it ends");
    }
    Ok(broker)
}

/// Bounds an operation: nothing hangs.
pub(crate) async fn within<T>(operation: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| {
        let text = format!("no answer within {} s", DEADLINE.as_secs());
        Err(Error::new(Kind::TimedOut, operation, text)
            .advice("see whether the broker answers at that address"))
    })
}

/// Closes the broker; what fails only then is said, but changes no result.
pub(crate) async fn close(broker: &Broker) {
    if let Err(error) = within("close", broker.close()).await {
        crate::output::note(&error.to_string());
    }
}
