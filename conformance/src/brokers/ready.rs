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
    within: Duration,
) -> Result<(), Error> {
    let Err(mut reason) = broker.probe(ports).await else { return Ok(()) };
    site.report(Step::Waiting);
    let started = Instant::now();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::{
        catalogue::fake::Fake,
        native::{
            kill,
            tests::{shell, site},
        },
    };

    #[tokio::test]
    async fn a_silent_broker_is_given_up_with_the_last_reason() {
        let (site, _folder) = site("kafka");
        let within = site.options.ready_within;
        let runner = Runner::Native(shell(&site, "echo thinking; exec sleep 60"));
        let error = wait(&Fake(Err("deaf")), &site, &Ports::default(), &runner, within).await.unwrap_err();
        kill(&site, None).await.unwrap();
        let Error::NotReady { reason, tail, .. } = error else { panic!("{error}") };
        assert_eq!((reason.as_str(), tail.as_str()), ("deaf", "thinking"));
    }

    #[tokio::test]
    async fn a_dead_broker_is_not_waited_for() {
        let (site, _folder) = site("kafka");
        let within = Duration::from_secs(600);
        let runner = Runner::Native(shell(&site, "echo out of memory"));
        let error = wait(&Fake(Err("deaf")), &site, &Ports::default(), &runner, within).await.unwrap_err();
        let Error::Died { tail, .. } = error else { panic!("{error}") };
        assert_eq!(tail, "out of memory");
    }
}
