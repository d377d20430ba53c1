//! The control connection: metadata, watermarks, configuration. Everything here blocks, within a deadline; async
//! callers go through [`blocking::run`](crate::blocking::run).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anybroker_core::{Error, Kind, Result};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::types::RDKafkaRespErr;

use crate::blocking::wait;
use crate::config::KafkaConfig;
use crate::error;
use crate::observer::Observer;
use crate::raw::tell_addresses;

/// A topic that every cluster knows or not; asking for it alone keeps the answer small.
const PROBE: &str = "__consumer_offsets";

/// How long one metadata request waits before what the background says is looked at.
const SLICE: Duration = Duration::from_millis(500);

pub(crate) struct Cluster {
    pub(crate) config: KafkaConfig,
    pub(crate) client: BaseConsumer<Observer>,
    pub(crate) admin: AdminClient<DefaultClientContext>,
}

/// What the cluster says of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicView {
    /// The partitions' numbers, in order.
    pub(crate) partitions: Vec<u32>,
    /// The smallest number of replicas of a partition.
    pub(crate) replicas: usize,
    /// The smallest number of replicas of a partition that are in sync.
    pub(crate) in_sync: usize,
    /// Whether every partition has a leader.
    pub(crate) led: bool,
}

impl Cluster {
    /// Connects, and fails as soon as it is clear that it cannot.
    ///
    /// # Errors
    /// `Disconnected`, `PermissionDenied`, `TimedOut`.
    pub(crate) fn connect(config: KafkaConfig) -> Result<Self> {
        let deadline = config.connect_timeout;
        let mut base = config.base();
        // What the broker hangs up on is told at this level.
        base.set_log_level(RDKafkaLogLevel::Info);
        let client = base.create_with_context(Observer::default()).map_err(|e| error::of("connect", e))?;
        let mut quiet = base.clone();
        // Nobody polls the admin client's main queue, so nothing may gather there.
        quiet.set_log_level(RDKafkaLogLevel::Emerg);
        let admin = quiet.create().map_err(|e| error::of("connect", e))?;
        let cluster = Cluster { config, client, admin };
        let place = cluster.config.brokers.join(",");
        cluster.metadata("connect", Some(PROBE), deadline, true).map_err(|error| error.on(place))?;
        Ok(cluster)
    }

    /// Serves what the client's background has to say.
    pub(crate) fn serve(&self, wait: Duration) {
        let mut wait = wait;
        loop {
            let before = self.client.context().served();
            let _ = self.client.poll(wait);
            if self.client.context().served() == before {
                return;
            }
            wait = Duration::ZERO;
        }
    }

    fn metadata(
        &self,
        operation: &'static str,
        topic: Option<&str>,
        deadline: Duration,
        fail_fast: bool,
    ) -> Result<Metadata> {
        let until = Instant::now() + deadline;
        if !fail_fast {
            self.serve(Duration::ZERO);
            self.client.context().forget();
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let error = match self.client.fetch_metadata(topic, left.min(SLICE)) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => error,
            };
            self.serve(left.min(SLICE / 10));
            if self.client.context().take_deserted() {
                tell_addresses(self.client.client(), &self.config.brokers);
            }
            if let Some(error) = self.client.context().hopeless(operation).filter(|_| fail_fast) {
                return Err(error);
            }
            if Instant::now() >= until {
                return Err(self.late(operation, error, deadline));
            }
        }
    }

    fn late(&self, operation: &'static str, error: KafkaError, deadline: Duration) -> Error {
        if let Some(error) = self.client.context().hopeless(operation) {
            return error;
        }
        Error::new(Kind::TimedOut, operation, format!("no answer within {deadline:?}"))
            .advice("check the address, and that a Kafka broker answers there")
            .with_source(error)
    }

    /// What the cluster says of a topic; none if it does not exist.
    pub(crate) fn topic(&self, operation: &'static str, name: &str) -> Result<Option<TopicView>> {
        let metadata = self.metadata(operation, Some(name), self.config.request_timeout, false)?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Ok(None);
        };
        view(operation, topic)
    }

    /// All topics but the broker's own.
    pub(crate) fn topics(&self, operation: &'static str) -> Result<Vec<(String, TopicView)>> {
        let metadata = self.metadata(operation, None, self.config.request_timeout, false)?;
        let mut topics = Vec::new();
        for topic in metadata.topics().iter().filter(|topic| !topic.name().starts_with("__")) {
            topics.extend(view(operation, topic)?.map(|view| (topic.name().to_owned(), view)));
        }
        topics.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(topics)
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&self, operation: &'static str, deadline: Duration) -> Result<()> {
        self.metadata(operation, Some(PROBE), deadline, false).map(|_| ())
    }

    /// The first offset of a partition and the one after its last.
    pub(crate) fn watermarks(
        &self,
        operation: &'static str,
        topic: &str,
        partition: u32,
    ) -> Result<(u64, u64)> {
        let until = Instant::now() + self.config.request_timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.client.fetch_watermarks(topic, partition as i32, left) {
                Ok((low, high)) => return Ok((low.max(0) as u64, high.max(0) as u64)),
                // A new topic's leader is named in the metadata a moment before it leads.
                Err(error) if leads_soon(&error) && !left.is_zero() => std::thread::sleep(ELECTION),
                Err(error) => return Err(error::of(operation, error).on(format!("topic `{topic}`"))),
            }
        }
    }

    /// A topic's configuration.
    pub(crate) fn settings(&self, operation: &'static str, topic: &str) -> Result<HashMap<String, String>> {
        self.describe(operation, ResourceSpecifier::Topic(topic))
    }

    /// The numbers of the brokers that run, in order.
    pub(crate) fn broker_ids(&self, operation: &'static str) -> Result<Vec<i32>> {
        let metadata = self.metadata(operation, Some(PROBE), self.config.request_timeout, false)?;
        let mut ids: Vec<_> = metadata.brokers().iter().map(|broker| broker.id()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The configuration of one broker.
    pub(crate) fn broker_settings(
        &self,
        operation: &'static str,
        id: i32,
    ) -> Result<HashMap<String, String>> {
        self.describe(operation, ResourceSpecifier::Broker(id))
    }

    fn describe(
        &self,
        operation: &'static str,
        resource: ResourceSpecifier<'_>,
    ) -> Result<HashMap<String, String>> {
        let resources = [resource];
        let answer =
            wait(self.config.request_timeout, self.admin.describe_configs(&resources, &self.options()))
                .unwrap_or(Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)))
                .map_err(|e| error::of(operation, e))?;
        let mut settings = HashMap::new();
        for resource in answer {
            let resource = resource.map_err(|code| error::of_code(operation, code))?;
            settings.extend(resource.entries.into_iter().filter_map(|e| Some((e.name, e.value?))));
        }
        Ok(settings)
    }

    /// Deadlines of an administrative request.
    pub(crate) fn options(&self) -> AdminOptions {
        let timeout = Some(self.config.request_timeout);
        AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
    }
}

/// How long to wait before a partition is asked for its leader again.
const ELECTION: Duration = Duration::from_millis(20);

fn leads_soon(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable)
    )
}

fn view(operation: &'static str, topic: &MetadataTopic) -> Result<Option<TopicView>> {
    match topic.error() {
        None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) => {}
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => return Ok(None),
        Some(other) => {
            return Err(error::of_code(operation, other.into()).on(format!("topic `{}`", topic.name())));
        }
    }
    let mut partitions: Vec<u32> = topic.partitions().iter().map(|p| p.id().max(0) as u32).collect();
    partitions.sort_unstable();
    Ok(Some(TopicView {
        partitions,
        replicas: topic.partitions().iter().map(|p| p.replicas().len()).min().unwrap_or(0),
        in_sync: topic.partitions().iter().map(|p| p.isr().len()).min().unwrap_or(0),
        led: !topic.partitions().is_empty() && topic.partitions().iter().all(|p| p.leader() >= 0),
    }))
}
