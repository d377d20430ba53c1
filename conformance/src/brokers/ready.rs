//! Waiting until a broker answers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    Error, Ports, Step,
    catalogue::LocalBroker,
    runner::{Condition, Runner},
    site::Site,
};

const INTERVAL: Duration = Duration::from_millis(100);

/// Waits until the broker answers; fails as soon as it is gone, and at the deadline. Says nothing if it answers
/// at once.
pub(crate) async fn wait(
    broker: &dyn LocalBroker,
    site: &Site,
    ports: &Ports,
    runner: &Runner,
) -> Result<(), Error> {
    let Err(mut reason) = broker.probe(ports).await else { return Ok(()) };
    site.report(Step::Waiting);
    let (started, within) = (Instant::now(), site.options.ready_within);
    while runner.condition().await? != Condition::Gone {
        if started.elapsed() >= within {
            let (broker, log, tail) = evidence(site, runner).await;
            return Err(Error::NotReady { broker, within, reason, log, tail });
        }
        sleep(INTERVAL).await;
        match broker.probe(ports).await {
            Ok(()) => {
                site.report(Step::Ready(started.elapsed()));
                return Ok(());
            }
            Err(still) => reason = still,
        }
    }
    let (broker, log, tail) = evidence(site, runner).await;
    Err(Error::Died { broker, log, tail })
}

async fn evidence(site: &Site, runner: &Runner) -> (String, String, String) {
    (site.broker.to_owned(), runner.log(site), runner.tail(site).await)
}
