//! Behaviour that every backend must show, case by case. What a backend's guarantees exclude is reported as not
//! promised; nothing is skipped by hand.
//!
//! For delivery and order, the only judge is the history checker: a case makes something happen, records it, and
//! hands the history over.

mod afterwards;
mod closing;
mod content;
mod dead_letters;
mod delays;
mod duplicates;
mod flow;
mod groups;
mod leases;
mod lifecycle;
mod member;
mod membership;
mod messages;
mod network;
mod order;
mod process;
mod publishing;
pub(crate) mod random;
mod reading_again;
mod receiving;
mod replies;
mod requests;
mod settlements;
mod settling;
mod sharing;
mod steps;
mod stored;
mod stream;
mod topics;
mod topology;
mod transactions;
mod witness;
mod worker;

use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anybroker_core::{
    Broker, DeliveryLevel, Error, Group, Guarantees, Level as _, Publisher, PublisherOptions, Result, Topic,
    Topology,
};
use futures::future::BoxFuture;

use crate::history::{Header, Promises};
use crate::properties::Verdict;
use crate::proxy::Proxy;
use crate::recorder::Recorder;
use crate::run::Histories;

pub use crate::plan::promises;
pub use member::{MEMBER_VARIABLE, run_member};
pub use worker::kills as worker_kills;

/// What a case found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It holds; with the evidence.
    Holds(String),
    /// The backend's guarantees exclude it; with the row that does.
    NotPromised(String),
    /// There is nothing here that it could be done to; with the reason.
    NotApplicable(String),
}

/// What is needed to do something to a broker, or why there is nothing to do it to.
pub type Applicable<T> = std::result::Result<T, &'static str>;

/// Why a case failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a case returns: a finding, or why it failed.
pub type CaseResult = std::result::Result<Finding, Failure>;

impl Finding {
    /// With more evidence.
    fn and(self, more: String) -> Self {
        match self {
            Finding::Holds(evidence) => Finding::Holds(format!("{evidence}, {more}")),
            other => other,
        }
    }
}

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name, unique.
    pub name: &'static str,
    /// What it disturbs.
    pub disturbs: Disturbs,
    /// Runs it.
    pub run: fn(Context) -> BoxFuture<'static, CaseResult>,
}

/// What may not run beside a case on the same broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbs {
    /// It disturbs nothing.
    Nothing,
    /// A process that works with the broker: where it is embedded, everything else that shares its file.
    Member,
    /// Only its own connections, through a proxy: a broker may have a place for no more than one.
    Proxy,
    /// The broker, and so everything else on it.
    Broker,
}

macro_rules! cases {
    ($(#[$doc:meta])* $list:ident: $($disturbs:ident $module:ident :: $name:ident),+ $(,)?) => {
        $(#[$doc])*
        pub const $list: &[Case] = &[$(Case {
            name: stringify!($name),
            disturbs: Disturbs::$disturbs,
            run: |context| Box::pin($module::$name(context)),
        }),+];
    };
}

cases! {
    /// The cases that disturb nothing.
    CASES:
    Nothing messages::round_trip,
    Nothing messages::empty_payload,
    Nothing messages::largest_and_one_byte_more,
    Nothing content::payloads_of_many_kinds,
    Nothing publishing::failed_publishes_stay_away,
    Nothing publishing::gap_after_failed_publish,
    Nothing publishing::batch_over_the_limit_is_split,
    Nothing publishing::fifty_tasks_share_a_publisher,
    Nothing publishing::close_waits_for_confirmations,
    Nothing publishing::one_publishes_another_consumes,
    Nothing receiving::empty_receive_can_be_given_up,
    Nothing receiving::cancelled_receive_takes_nothing,
    Nothing receiving::dropped_handler_settles_nothing,
    Nothing receiving::nothing_comes_twice,
    Nothing receiving::window_is_bounded,
    Nothing afterwards::silence_after_the_end,
    Nothing order::order_per_key,
    Nothing order::order_across_consumers,
    Nothing order::batches_and_single_publishes,
    Nothing groups::members_share_and_groups_fan_out,
    Nothing groups::backlog_before_the_first_member,
    Nothing sharing::many_members_share,
    Nothing sharing::held_deliveries_keep_others_out,
    Nothing settlements::void_settlement_spares_its_siblings,
    Nothing settlements::hole_in_the_acknowledgements,
    Nothing settlements::redelivery_keeps_its_place,
    Nothing settlements::nacks_over_closing_members,
    Nothing settlements::acknowledgement_after_handover,
    Nothing settling::nack_comes_before_later_messages_of_its_key,
    Nothing settling::nack_waits_for_its_delay,
    Nothing settling::redelivery_is_counted,
    Nothing settling::lease_lapses,
    Nothing settling::dead_letter_keeps_the_message,
    Nothing settling::used_up_attempts_are_dead_lettered,
    Nothing dead_letters::delivery_limit,
    Nothing delays::delays_are_floors,
    Nothing duplicates::deduplication_window,
    Nothing duplicates::distinct_ids_are_kept,
    Nothing leases::lease_is_extended,
    Nothing leases::stale_acknowledgement,
    Nothing stored::confirmed_is_stored,
    Nothing lifecycle::close_hands_back,
    Nothing lifecycle::drop_hands_back,
    Nothing lifecycle::use_after_close,
    Nothing closing::everything_closes_at_once,
    Nothing lifecycle::requirements_are_checked,
    Nothing topology::publish_before_any_group,
    Nothing topology::missing_topic,
    Nothing topology::different_topology,
    Nothing topics::many_topics_at_once,
    Nothing reading_again::read_again_from_the_earliest,
    Nothing reading_again::late_group_reads_the_history,
    Nothing membership::members_join_and_leave,
    Nothing membership::member_killed,
    Nothing worker::worker_keyed_lanes,
    Nothing worker::worker_retries_in_order,
    Nothing worker::worker_poison,
    Nothing worker::workers_join_and_leave,
    Nothing worker::worker_killed,
    Nothing requests::requests_and_replies,
    Nothing transactions::transactions_are_atomic,
    Nothing transactions::transactions_fence_zombies,
    Nothing transactions::transactions_time_out,
    Nothing transactions::transactions_over_rebalances,
    Nothing transactions::transactions_are_refused,
    Nothing transactions::worker_exactly_once,
    Nothing random::random_workloads,
    Nothing witness::witness_loss,
    Nothing witness::witness_order,
    Nothing witness::witness_two_holders,
    Nothing witness::witness_lost_acknowledgement,
    Nothing witness::witness_unmarked_redelivery,
    Member membership::member_paused,
    Member membership::publisher_killed,
}

cases! {
    /// The cases that break connections, or the broker.
    DISTURBING:
    Proxy network::connection_cut,
    Proxy network::connection_half_open,
    Proxy network::connection_delayed,
    Proxy replies::replies_dropped,
    Proxy worker::worker_connections_cut,
    Proxy transactions::worker_commit_unanswered,
    Broker process::broker_paused,
    Broker process::broker_killed_and_restarted,
    Broker worker::worker_broker_killed,
    Broker transactions::transactions_broker_killed,
    Broker random::random_workloads_with_faults,
}

/// Opens a new connection to the broker under test.
pub type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Broker>> + Send + Sync>;

/// Starts a process that calls [`run_member`] with the given configuration in [`MEMBER_VARIABLE`], its standard input
/// and output piped.
pub type SpawnMember = Arc<dyn Fn(String) -> std::io::Result<tokio::process::Child> + Send + Sync>;

/// Opens a way to the broker through a proxy that stands for this case only, with the connections that take it. They
/// notice within seconds that the other side is silent.
pub type Detour = Arc<dyn Fn() -> BoxFuture<'static, std::io::Result<(Proxy, Connect)>> + Send + Sync>;

/// Breaks the process of the broker under test.
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

    /// SIGSTOP: it keeps its connections open, and does nothing.
    ///
    /// # Errors
    /// It is not running, or not ours.
    ///
    /// # Cancel safety
    /// A cancelled call may have paused it.
    async fn pause(&self) -> std::result::Result<(), String>;

    /// Lets it go on.
    ///
    /// # Errors
    /// It is not running, or not ours.
    ///
    /// # Cancel safety
    /// A cancelled call may have let it go on.
    async fn resume(&self) -> std::result::Result<(), String>;
}

/// What a case works with.
#[derive(Clone)]
pub struct Context {
    /// The backend's name, for reports.
    pub name: String,
    /// Opens a connection.
    pub connect: Connect,
    /// Starts a member in a process of its own.
    pub spawn_member: Applicable<SpawnMember>,
    /// Breaks the broker's process.
    pub faults: Applicable<Arc<dyn Faults>>,
    /// Leads to the broker through a proxy.
    pub detour: Applicable<Detour>,
    /// Why the server under test loses by a restart what the system that it stands for keeps, where it does.
    pub volatile: Option<&'static str>,
    /// How long nothing may move before what is missing counts as lost: longer than every time-out of the broker.
    pub quiet: Duration,
    /// Decides every random choice.
    pub seed: u64,
    /// Where the recorders of this case are kept, for the evidence of the run.
    pub histories: Histories,
    /// Whose guarantees a history is held to, if not those of the backend itself: what it imitates, or what imitates it.
    pub judged_by: Option<Guarantees>,
}

impl Context {
    /// A connection, recorded by nobody.
    async fn broker(&self) -> Result<Broker> {
        (self.connect)().await
    }

    /// A topic that nobody else uses, with its groups, and what is promised of it.
    async fn stage(&self, case: &str, groups: usize) -> Result<Stage> {
        self.stage_held_to(case, groups, |promises| promises).await
    }

    /// The same, with the promises that this case can hold a history to.
    async fn stage_held_to(
        &self,
        case: &str,
        groups: usize,
        held_to: impl FnOnce(Promises) -> Promises,
    ) -> Result<Stage> {
        self.stage_promising(case, groups, |_, promises| held_to(promises)).await
    }

    /// The same, with what the case's own doing adds to the promises.
    async fn stage_promising(
        &self,
        case: &str,
        groups: usize,
        held_to: impl FnOnce(&Guarantees, Promises) -> Promises,
    ) -> Result<Stage> {
        let stage = self.witness_stage(case, groups, held_to).await?;
        self.histories.lock().unwrap_or_else(PoisonError::into_inner).push(stage.recorder.clone());
        Ok(stage)
    }

    /// The same, whose history is no evidence: it may be held to more than is promised.
    async fn witness_stage(
        &self,
        case: &str,
        groups: usize,
        held_to: impl FnOnce(&Guarantees, Promises) -> Promises,
    ) -> Result<Stage> {
        let broker = self.broker().await?;
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        let topic = Topic::new(format!("{case}-{:x}", nanos ^ self.seed))?;
        let groups = (0..groups).map(|at| Group::new(format!("group-{at}"))).collect::<Result<Vec<_>>>()?;
        let mut topology = Topology::new(topic.clone());
        topology.groups = groups.clone();
        declare(&broker, &topology).await?;
        let guarantees = match &self.judged_by {
            Some(guarantees) => guarantees.clone(),
            None => broker.guarantees(Some(&topic), groups.first()).await?,
        };
        let promises = held_to(&guarantees, promises(&guarantees));
        let recorder = Recorder::new(&Header::new(self.name.clone(), promises)).map_err(|e| {
            Error::new(anybroker_core::Kind::Unexpected, "record", "no history").with_source(e)
        })?;
        Ok(Stage { recorded: recorder.wrap(broker.clone()), broker, topic, groups, guarantees, recorder })
    }
}

/// Declares, and again after a failure that may pass: a busy server is not what a case is about, and declaring twice is
/// declaring once.
async fn declare(broker: &Broker, topology: &Topology) -> Result<()> {
    for _ in 0..2 {
        match broker.admin().declare(topology).await {
            Err(error) if error.is_retryable() => tracing::warn!(%error, "declaring again"),
            ended => return ended,
        }
    }
    broker.admin().declare(topology).await
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

    /// Whether a member has too few messages in hand for its work to be worth dividing.
    fn one_at_a_time(&self) -> bool {
        self.guarantees.limits.in_flight.is_some_and(|most| most < 32)
    }

    /// For how long to wait for what does not come: where messages may be lost, it never may.
    fn waits(&self, quiet: Duration) -> Duration {
        let kept = self.guarantees.delivery.value.satisfies(DeliveryLevel::AtLeastOnce);
        if kept { quiet } else { quiet.min(Duration::from_secs(2)) }
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
