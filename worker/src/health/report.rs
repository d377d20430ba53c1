//! How a worker stands, for people and probes.

use std::time::Duration;

use anybroker_core::{Group, Topic};
use serde::{Serialize, Serializer};

/// How a worker stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Whether it does its work.
    pub status: Status,
    /// Whether its loops go on.
    pub live: bool,
    /// Whether the broker answers; none before it was asked.
    pub broker: Option<BrokerHealth>,
    /// Each subscription.
    pub subscriptions: Vec<SubscriptionHealth>,
}

impl Report {
    pub(super) fn new(subscriptions: Vec<SubscriptionHealth>, broker: Option<BrokerHealth>) -> Self {
        let open = subscriptions.iter().all(|it| it.phase == Phase::Open && it.live);
        let answers = broker.as_ref().is_none_or(|broker| broker.answered);
        let refused = subscriptions.iter().any(|it| it.dead_letters_refused_for.is_some());
        let status = match (!subscriptions.is_empty() && open && answers, refused) {
            (false, _) => Status::NotReady,
            (true, true) => Status::Degraded,
            (true, false) => Status::Ready,
        };
        // While some have ended the others drain, which is life.
        let over = !subscriptions.is_empty() && subscriptions.iter().all(|it| it.phase == Phase::Closed);
        let live = !over && subscriptions.iter().all(|it| it.live || it.phase == Phase::Closed);
        Report { status, live, broker, subscriptions }
    }
}

/// Whether a worker does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything is open, and the broker answers.
    Ready,
    /// It works, but dead letters are refused: their keys wait.
    Degraded,
    /// Something is not open yet, drains or has ended, or the broker does not answer.
    NotReady,
}

/// How a subscription stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SubscriptionHealth {
    /// Its topic.
    #[serde(serialize_with = "text")]
    pub topic: Topic,
    /// Its group.
    #[serde(serialize_with = "text")]
    pub group: Group,
    /// How far it is.
    pub phase: Phase,
    /// Whether its loops go on.
    pub live: bool,
    /// For how long dead letters have been refused, if they are.
    #[serde(rename = "dead_letters_refused_for_seconds", serialize_with = "optional_seconds")]
    pub dead_letters_refused_for: Option<Duration>,
    /// The worker's last error on it. Handlers' errors are not shown: they may say what is not for everybody.
    pub last_error: Option<LastError>,
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is being opened.
    #[default]
    Opening,
    /// It has joined its group.
    Open,
    /// It receives nothing more; what runs comes to an end.
    Draining,
    /// It has ended.
    Closed,
}

/// An error and how long ago it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LastError {
    /// The error.
    pub text: String,
    /// How long ago.
    #[serde(rename = "age_seconds", serialize_with = "seconds")]
    pub age: Duration,
}

/// Whether the broker answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BrokerHealth {
    /// Whether it did when it was last asked.
    pub answered: bool,
    /// How long that took.
    #[serde(rename = "round_trip_seconds", serialize_with = "optional_seconds")]
    pub round_trip: Option<Duration>,
    /// Why it did not.
    pub error: Option<String>,
    /// How long ago it was asked.
    #[serde(rename = "age_seconds", serialize_with = "seconds")]
    pub age: Duration,
}

fn text<S: Serializer>(name: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&name.to_string())
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn optional_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|it| it.as_secs_f64()).serialize(serializer)
}
