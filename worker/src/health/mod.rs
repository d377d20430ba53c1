//! Whether a worker lives, and whether it does its work.

mod heart;
mod report;
mod state;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::{Group, Topic};
use tokio::time::Instant;

pub(crate) use heart::Heart;
pub use report::{BrokerHealth, LastError, Phase, Report, Status, SubscriptionHealth};
use state::State;
pub(crate) use watch::watch;

use crate::observe::{Happening, Observer, Wants};
use crate::telemetry::BySubscription;

/// How often each loop says that it goes on.
const BEAT: Duration = Duration::from_secs(5);

/// For how long a loop may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// How often the broker is asked for a sign of life.
const PROBE: Duration = Duration::from_secs(10);

/// Knows whether a worker lives (its loops go on) and is ready (everything is open, and the broker answers).
///
/// ```
/// use anybroker_worker::{Health, Status};
/// let health = Health::new(); // .observe(health.clone()) gives it to a worker
/// assert!(health.is_live() && !health.is_ready());
/// assert_eq!(health.report().status, Status::NotReady);
/// ```
#[derive(Debug, Default)]
pub struct Health {
    subscriptions: BySubscription<Mutex<State>>,
    probe: Mutex<Option<Probe>>,
}

/// The broker's last answer.
#[derive(Clone, Debug)]
struct Probe {
    at: Instant,
    result: Result<Duration, String>,
}

impl Health {
    /// Of a worker that has not begun.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether every loop goes on; a worker that has not begun lives, one that has ended does not. One that does not
    /// live should be started anew.
    pub fn is_live(&self) -> bool {
        self.report().live
    }

    /// Whether everything is open, and the broker answers. Dead letters that are refused do not make it unready, only
    /// [degraded](Status::Degraded).
    pub fn is_ready(&self) -> bool {
        self.report().status != Status::NotReady
    }

    /// How it stands, in detail.
    pub fn report(&self) -> Report {
        let now = Instant::now();
        let subscriptions: Vec<_> =
            self.subscriptions.iter().map(|it| lock(&it.value).report(&it.topic, &it.group, now)).collect();
        Report::new(subscriptions, lock(&self.probe).as_ref().map(|probe| probe.report(now)))
    }
}

impl Probe {
    fn report(&self, now: Instant) -> BrokerHealth {
        BrokerHealth {
            answered: self.result.is_ok(),
            round_trip: self.result.as_ref().ok().copied(),
            error: self.result.as_ref().err().cloned(),
            age: now - self.at,
        }
    }
}

impl Observer for Health {
    fn observe(&self, topic: &Topic, group: &Group, happening: &Happening<'_>) {
        if let Happening::Probed(result) = happening {
            let result = result.map_err(ToString::to_string);
            *lock(&self.probe) = Some(Probe { at: Instant::now(), result });
        } else if State::heeds(happening) {
            lock(self.subscriptions.of(topic, group, Mutex::default)).note(happening);
        }
    }

    fn wants(&self) -> Wants {
        Wants { heartbeat: Some(BEAT), probe: Some(PROBE), lag: None }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
