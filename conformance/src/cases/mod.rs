//! Behaviour that every backend must show, case by case. What a backend's guarantees exclude is reported as not
//! promised; nothing is skipped by hand.
//!
//! For delivery and order, the only judge is the history checker: a case makes something happen, records it, and
//! hands the history over.

mod flow;
mod groups;
mod lifecycle;
mod member;
mod membership;
mod messages;
mod order;
mod promises;
mod restart;
mod settling;
mod topology;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anybroker_core::{
    Broker, DeliveryLevel, Error, Group, Guarantees, Level as _, Publisher, PublisherOptions, Result, Topic,
    Topology,
};
use futures::future::BoxFuture;

use crate::history::Header;
use crate::properties::Verdict;
use crate::recorder::Recorder;

pub use member::{MEMBER_VARIABLE, run_member};
pub use promises::promises;

/// What a case found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It holds; with the evidence.
    Holds(String),
    /// The backend's guarantees exclude it; with the row that does.
    NotPromised(String),
}

/// What a case returns: a finding, or why it failed.
pub type CaseResult = std::result::Result<Finding, Box<dyn std::error::Error + Send + Sync>>;

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name, unique.
    pub name: &'static str,
    /// Whether it stops the broker, so that nothing else may run beside it.
    pub disturbs: bool,
    /// Runs it.
    pub run: fn(Context) -> BoxFuture<'static, CaseResult>,
}

macro_rules! cases {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        /// All cases.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            disturbs: false,
            run: |context| Box::pin($module::$name(context)),
        }),+];
    };
}

cases! {
    messages::round_trip,
    messages::empty_payload,
    messages::largest_and_one_byte_more,
    order::order_per_key,
    order::order_across_consumers,
    order::batches_and_single_publishes,
    groups::members_share_and_groups_fan_out,
    groups::backlog_before_the_first_member,
    settling::nack_comes_before_later_messages_of_its_key,
    settling::nack_waits_for_its_delay,
    settling::redelivery_is_counted,
    settling::lease_lapses,
    settling::dead_letter_keeps_the_message,
    settling::used_up_attempts_are_dead_lettered,
    lifecycle::close_hands_back,
    lifecycle::drop_hands_back,
    lifecycle::use_after_close,
    lifecycle::requirements_are_checked,
    topology::publish_before_any_group,
    topology::missing_topic,
    topology::different_topology,
    membership::members_join_and_leave,
    membership::member_killed,
}

/// The cases that stop the broker.
pub const DISTURBING: &[Case] = &[Case {
    name: "broker_killed_and_restarted",
    disturbs: true,
    run: |context| Box::pin(restart::broker_killed_and_restarted(context)),
}];

/// Opens a new connection to the broker under test.
pub type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Broker>> + Send + Sync>;

/// Starts a process that calls [`run_member`] with the given configuration in [`MEMBER_VARIABLE`].
pub type SpawnMember = Arc<dyn Fn(String) -> std::io::Result<tokio::process::Child> + Send + Sync>;

/// Stops the broker under test as a crash would, and starts it again.
#[async_trait::async_trait]
pub trait Faults: Send + Sync {
    /// SIGKILL.
    ///
    /// # Errors
    /// It is not running, or not ours.
    ///
    /// # Cancel safety
    /// A cancelled call may have killed it.
    async fn kill(&self) -> std::result::Result<(), String>;

    /// Starts it with the data that it had, and waits until it is ready.
    ///
    /// # Errors
    /// It did not become ready; the text has the end of its log.
    ///
    /// # Cancel safety
    /// A cancelled call may have started it.
    async fn restart(&self) -> std::result::Result<(), String>;
}

/// What a case works with.
#[derive(Clone)]
pub struct Context {
    /// The backend's name, for reports.
    pub name: String,
    /// Opens a connection.
    pub connect: Connect,
    /// Starts a member in a process of its own; none where the broker lives in this process.
    pub spawn_member: Option<SpawnMember>,
    /// Stops and starts the broker; none where that is not possible, which [`Finding::NotPromised`] then says.
    pub faults: Option<Arc<dyn Faults>>,
    /// How long nothing may move before what is missing counts as lost: longer than every time-out of the broker.
    pub quiet: Duration,
    /// Decides every random choice.
    pub seed: u64,
}

impl Context {
    /// A connection, recorded by nobody.
    async fn broker(&self) -> Result<Broker> {
        (self.connect)().await
    }

    /// A topic that nobody else uses, with its groups, and what is promised of it.
    async fn stage(&self, case: &str, groups: usize) -> Result<Stage> {
        let broker = self.broker().await?;
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        let topic = Topic::new(format!("{case}-{:x}", nanos ^ self.seed))?;
        let groups = (0..groups).map(|at| Group::new(format!("group-{at}"))).collect::<Result<Vec<_>>>()?;
        let mut topology = Topology::new(topic.clone());
        topology.groups = groups.clone();
        broker.admin().declare(&topology).await?;
        let guarantees = broker.guarantees(Some(&topic), groups.first()).await?;
        let recorder =
            Recorder::new(&Header::new(self.name.clone(), promises(&guarantees))).map_err(|e| {
                Error::new(anybroker_core::Kind::Unexpected, "record", "no history").with_source(e)
            })?;
        Ok(Stage { recorded: recorder.wrap(broker.clone()), broker, topic, groups, guarantees, recorder })
    }
}

/// A topic with its groups, and the recorder of what happens on it.
struct Stage {
    broker: Broker,
    recorded: Broker,
    topic: Topic,
    groups: Vec<Group>,
    guarantees: Guarantees,
    recorder: Arc<Recorder>,
}

impl Stage {
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        self.recorded.publisher(PublisherOptions::new(self.topic.clone())).await
    }

    fn subscription(&self, group: usize) -> anybroker_core::Subscription {
        anybroker_core::Subscription::new(self.topic.clone(), self.groups[group].clone())
    }

    /// Where nothing is kept for a member that comes later, a case that publishes first shows nothing.
    fn keeps_nothing(&self) -> Option<Finding> {
        let kept = self.guarantees.delivery.value.satisfies(DeliveryLevel::AtLeastOnce);
        let row = "delivery = at-most-once: what comes before a member, or is left behind by one, is lost";
        (!kept).then(|| Finding::NotPromised(row.into()))
    }

    /// Ends a case that holds: nothing that it recorded may break a promise, whatever the case itself looked at. Deletes
    /// the topic, so that a broker shared by many cases stays small.
    async fn tidy(&self) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let report = self.recorder.check()?;
        ensure(!matches!(report.verdict, Verdict::Violation | Verdict::Stalled), || report.to_string())?;
        Ok(self.broker.admin().delete(&self.topic).await?)
    }
}

/// Fails a case with a text.
fn failed<T>(text: impl Into<String>) -> std::result::Result<T, Box<dyn std::error::Error + Send + Sync>> {
    Err(text.into().into())
}

/// Fails a case unless the condition holds.
fn ensure(
    holds: bool,
    text: impl FnOnce() -> String,
) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if holds { Ok(()) } else { failed(text()) }
}

/// How long a single step of a case may take.
const STEP: Duration = Duration::from_secs(30);

/// Bounds a step of a case.
async fn step<T>(
    what: &str,
    future: impl Future<Output = Result<T>>,
) -> std::result::Result<T, Box<dyn std::error::Error + Send + Sync>> {
    match tokio::time::timeout(STEP, future).await {
        Ok(result) => result.map_err(|error| format!("{what}: {error}").into()),
        Err(_) => failed(format!("{what}: nothing within {STEP:?}")),
    }
}
