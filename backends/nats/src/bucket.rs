//! Who is a member of a group, and who has which partition: keys of a bucket whose entries last for the session timeout.
//!
//! A member renews its own key and those of its partitions. Each write names the sequence of the one before it, so that
//! the server refuses whoever is not the last writer: nobody can take what somebody has, and who was silent for too
//! long finds that out. An entry that nobody renews is removed by the server.

use std::time::Duration;

use anybroker_core::{Error, Kind, Result, TopologyMode};
use async_nats::HeaderMap;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::Info;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::config::NatsConfig;
use crate::error::refused;
use crate::link::Link;
use crate::names::BUCKET;
use crate::streams::{self, nanos};

/// `Nats-Expected-Last-Subject-Sequence`: the write is refused unless the key's last entry has that sequence.
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
/// How much earlier than the server the client takes an entry for lapsed.
const MARGIN: Duration = Duration::from_millis(500);

/// An entry of ours.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) key: String,
    sequence: u64,
    /// Until when it is certainly ours.
    pub(crate) until: Instant,
}

/// The bucket, as one member sees it.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    member: String,
    pub(crate) timeout: Duration,
}

fn stream() -> String {
    format!("KV_{BUCKET}")
}

/// Makes sure of the bucket as the mode says; tells its session timeout.
pub(crate) async fn declare(
    link: &Link,
    operation: &'static str,
    config: &NatsConfig,
    mode: TopologyMode,
) -> Result<Duration> {
    if mode == TopologyMode::Ignore {
        return Ok(config.new_session_timeout());
    }
    let found = match streams::info(link, operation, &stream()).await? {
        Some(info) => info,
        None if mode == TopologyMode::Check => {
            let text = format!("there is no bucket `{BUCKET}`, in which members of groups find each other");
            return Err(Error::new(Kind::NotFound, operation, text).advice(
                "create it with any topic: anybroker topics create URL TOPIC, or add topology=create to the URL",
            ));
        }
        None => create(link, operation, config).await?,
    };
    let timeout = found.config.max_age;
    let usable = timeout >= Duration::from_secs(3) && found.config.max_messages_per_subject == 1;
    if !usable || config.session_timeout.is_some_and(|asked| asked != timeout) {
        let text = format!(
            "bucket `{BUCKET}` keeps {} entries of a key for {timeout:?}; asked for is 1 for {:?}",
            found.config.max_messages_per_subject,
            config.new_session_timeout()
        );
        let advice = "leave session_timeout= out, or change the bucket's max_age while no consumer runs";
        return Err(Error::new(Kind::InvalidConfiguration, operation, text).advice(advice));
    }
    Ok(timeout)
}

async fn create(link: &Link, operation: &'static str, config: &NatsConfig) -> Result<Info> {
    let bucket = json!({
        "name": stream(),
        "subjects": [format!("$KV.{BUCKET}.>")],
        "max_msgs_per_subject": 1,
        "max_age": nanos(config.new_session_timeout()),
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": config.replicas.unwrap_or(1),
        "allow_rollup_hdrs": true,
        "allow_direct": true,
        "description": "members of anybroker's groups, and who has which partition",
    });
    match link.api(operation, &format!("STREAM.CREATE.{}", stream()), &bucket).await {
        Ok(info) => Ok(info),
        Err(error) => streams::info(link, operation, &stream()).await?.ok_or(error),
    }
}

/// Removes all entries whose keys match.
pub(crate) async fn purge(link: &Link, operation: &'static str, filter: &str) -> Result<()> {
    let request = json!({ "filter": filter });
    match link.api::<Value>(operation, &format!("STREAM.PURGE.{}", stream()), &request).await {
        Err(error) if error.kind() != Kind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The keys that begin with `prefix` and have an entry.
pub(crate) async fn keys(link: &Link, operation: &'static str, prefix: &str) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Page {
        state: State,
    }
    #[derive(serde::Deserialize)]
    struct State {
        subjects: Option<std::collections::BTreeMap<String, u64>>,
    }
    let request = json!({ "subjects_filter": format!("{prefix}.>") });
    let page: Page = link.api(operation, &format!("STREAM.INFO.{}", stream()), &request).await?;
    Ok(page.state.subjects.unwrap_or_default().into_keys().collect())
}

impl Bucket {
    pub(crate) fn new(timeout: Duration) -> Self {
        Bucket { member: uuid::Uuid::now_v7().simple().to_string(), timeout }
    }

    /// The last part of our own key.
    pub(crate) fn member(&self) -> &str {
        &self.member
    }

    /// Takes a key that has no entry; none if it has one.
    pub(crate) async fn take(&self, link: &Link, key: String) -> Result<Option<Lease>> {
        self.write(link, key, 0).await
    }

    /// Renews an entry; none if it is not ours any more.
    pub(crate) async fn renew(&self, link: &Link, lease: &Lease) -> Result<Option<Lease>> {
        self.write(link, lease.key.clone(), lease.sequence).await
    }

    async fn write(&self, link: &Link, key: String, last: u64) -> Result<Option<Lease>> {
        // From before the request, so that ours ends before the server's.
        let until = Instant::now() + self.timeout - MARGIN;
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED, last.to_string());
        let value = Bytes::copy_from_slice(self.member.as_bytes());
        let answer = link.request("receive", key.clone(), Some(headers), value).await?;
        match serde_json::from_slice(&answer.payload) {
            Ok(Response::Ok(PublishAck { sequence, .. })) => Ok(Some(Lease { key, sequence, until })),
            Ok(Response::Err { error }) if is_conflict(&error) => self.adopt(link, key).await,
            Ok(Response::Err { error }) => Err(refused("receive", &error)),
            Err(error) => Err(Error::new(Kind::Unexpected, "receive", "the bucket's answer does not read")
                .with_source(error)),
        }
    }

    /// The entry may be ours although we do not know it: the answer to a write was lost.
    async fn adopt(&self, link: &Link, key: String) -> Result<Option<Lease>> {
        let request = json!({ "last_by_subj": key }).to_string().into();
        let answer =
            link.request("receive", format!("$JS.API.DIRECT.GET.{}", stream()), None, request).await?;
        let sequence = answer.headers.as_ref().and_then(|headers| headers.get("Nats-Sequence"));
        let Some(sequence) = sequence.and_then(|sequence| sequence.as_str().parse().ok()) else {
            return Ok(None);
        };
        if answer.payload != self.member.as_bytes() {
            return Ok(None);
        }
        // When it was written is not known; a renewal tells.
        let lease = Lease { key, sequence, until: Instant::now() };
        Box::pin(self.renew(link, &lease)).await
    }

    /// Lets others have what is ours.
    pub(crate) async fn release(&self, link: &Link, lease: &Lease) -> Result<()> {
        // Only our own entry: a later one has a greater sequence.
        let request = json!({ "filter": lease.key, "seq": lease.sequence + 1 });
        link.api::<Value>("close", &format!("STREAM.PURGE.{}", stream()), &request).await.map(|_| ())
    }
}

/// Somebody else wrote last.
fn is_conflict(error: &async_nats::jetstream::Error) -> bool {
    use async_nats::jetstream::ErrorCode;
    [ErrorCode::STREAM_WRONG_LAST_SEQUENCE, ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT]
        .contains(&error.error_code())
}
