//! Asks the broker what the observers want to hear of it.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Broker, Error, Group, Kind, Result, Topic};

use super::heart::Heart;
use crate::observe::{Happening, Observer, Wants};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Asks for as long as it is polled; one question at a time of each kind.
pub(crate) async fn watch(
    broker: &Broker,
    subscriptions: &[(Topic, Group)],
    observers: &Arc<[Arc<dyn Observer>]>,
) {
    let Wants { lag, probe, .. } = Wants::of(observers);
    let tell = |(topic, group): &(Topic, Group), happening: &Happening<'_>| {
        observers.iter().for_each(|observer| observer.observe(topic, group, happening));
    };
    let lags = async {
        let mut heart = Heart::new(lag);
        loop {
            heart.beat().await;
            for one in subscriptions {
                let lag = within("backlog", broker.admin().backlog(&one.0, &one.1)).await;
                tell(one, &Happening::Lag(lag.as_ref().copied()));
            }
        }
    };
    let probes = async {
        let mut heart = Heart::new(probe);
        loop {
            heart.beat().await;
            let took = within("health", broker.admin().health()).await;
            subscriptions.iter().for_each(|one| tell(one, &Happening::Probed(took.as_ref().copied())));
        }
    };
    tokio::select! {
        biased;
        () = lags => {}
        () = probes => {}
    }
}

async fn within<T>(operation: &'static str, asked: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(LIMIT, asked).await.unwrap_or_else(|_| {
        Err(Error::new(Kind::TimedOut, operation, format!("the broker did not answer within {LIMIT:?}")))
    })
}
