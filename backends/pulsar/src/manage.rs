//! Topics and subscriptions by the admin interface: <https://pulsar.apache.org/admin-rest-api>.

use anybroker_core::{Error, Group, Kind, Result, Topic};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::http::{Answer, Http};

/// The admin interface of one namespace.
#[derive(Debug)]
pub(crate) struct Manager {
    http: Http,
    namespace: String,
}

/// How long, and how much of, a topic's messages are kept although they were acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retention {
    retention_time_in_minutes: i64,
    #[serde(rename = "retentionSizeInMB")]
    retention_size_in_mb: i64,
}

impl Retention {
    /// Whether anything is kept: zero of either is nothing, and less than zero no limit.
    pub(crate) fn keeps(self) -> bool {
        self.retention_time_in_minutes != 0 && self.retention_size_in_mb != 0
    }

    /// In words.
    pub(crate) fn text(self) -> String {
        let part = |n: i64, unit| if n < 0 { "no limit".to_owned() } else { format!("{n} {unit}") };
        let (time, size) = (self.retention_time_in_minutes, self.retention_size_in_mb);
        format!("{} of time, {} of size", part(time, "minutes"), part(size, "MB"))
    }
}

#[derive(Deserialize)]
struct Partitions {
    partitions: u32,
}

/// A topic's or partition's statistics, as far as we look at them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    #[serde(default)]
    pub(crate) subscriptions: BTreeMap<String, GroupStats>,
    #[serde(default)]
    partitions: BTreeMap<String, Stats>,
}

/// A subscription's.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupStats {
    #[serde(default)]
    pub(crate) msg_backlog: i64,
    #[serde(default)]
    pub(crate) consumers: Vec<ConsumerStats>,
    /// `Key_Shared` and the like; `None` while it has no consumer.
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
}

/// A consumer's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumerStats {
    #[serde(default)]
    pub(crate) consumer_name: String,
}

const EARLIEST: &str = r#"{"ledgerId":-1,"entryId":-1}"#;

impl Manager {
    pub(crate) fn new(http: Http, namespace: &str) -> Self {
        Manager { http, namespace: namespace.to_owned() }
    }

    fn path(&self, topic: &str, rest: &str) -> String {
        format!("/admin/v2/persistent/{}/{topic}{rest}", self.namespace)
    }

    async fn call(
        &self,
        operation: &'static str,
        method: &str,
        path: String,
        body: Option<&str>,
    ) -> Result<Answer> {
        self.http.call(operation, method, &path, body).await
    }

    /// An answer with no surprise in it: success, or one of `allowed`.
    fn expect(&self, operation: &'static str, answer: Answer, allowed: &[u16]) -> Result<Answer> {
        let status = answer.status;
        if (200..300).contains(&status) || allowed.contains(&status) {
            return Ok(answer);
        }
        let (kind, advice) = match status {
            404 => (Kind::NotFound, "create it: anybroker topics create URL TOPIC --groups GROUP"),
            409 | 412 => (Kind::InvalidConfiguration, "what is there differs from what is asked for"),
            429 => (Kind::Throttled, "try again later"),
            _ => (Kind::Unexpected, "see the broker's log"),
        };
        let text = format!("the admin interface refused: {}", answer.reason());
        Err(Error::new(kind, operation, text).on(self.http.place()).advice(advice))
    }

    /// How many partitions the topic has: 0 if it is not partitioned, none if there is no such topic.
    pub(crate) async fn partitions(&self, operation: &'static str, topic: &Topic) -> Result<Option<u32>> {
        let path = self.path(topic.as_str(), "/partitions?checkAllowAutoCreation=false");
        let answer = self.call(operation, "GET", path, None).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let answer = self.expect(operation, answer, &[])?;
        let found = answer.json::<Partitions>(operation)?.partitions;
        // Brokers before 4.0 say of a topic that is not there that it is not partitioned.
        if found == 0 && self.groups_or_none(operation, topic).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// Creates the topic, unless somebody was faster.
    pub(crate) async fn create(
        &self,
        operation: &'static str,
        topic: &Topic,
        partitions: Option<u32>,
    ) -> Result<()> {
        let answer = match partitions {
            Some(partitions) => {
                let path = self.path(topic.as_str(), "/partitions");
                self.call(operation, "PUT", path, Some(&partitions.to_string())).await?
            }
            None => self.call(operation, "PUT", self.path(topic.as_str(), ""), None).await?,
        };
        self.expect(operation, answer, &[409]).map(drop)
    }

    /// Has the topic keep its messages for this long.
    pub(crate) async fn retain(&self, operation: &'static str, topic: &Topic, time: Duration) -> Result<()> {
        let minutes = time.as_secs().div_ceil(60);
        let body = format!(r#"{{"retentionTimeInMinutes":{minutes},"retentionSizeInMB":-1}}"#);
        let path = self.path(topic.as_str(), "/retention");
        let answer = self.call(operation, "POST", path, Some(&body)).await?;
        self.expect(operation, answer, &[]).map(drop)
    }

    /// The retention that applies to the topic, be it its own, its namespace's or the broker's.
    pub(crate) async fn retention(
        &self,
        operation: &'static str,
        topic: &Topic,
    ) -> Result<Option<Retention>> {
        let path = self.path(topic.as_str(), "/retention?applied=true");
        let answer = self.call(operation, "GET", path, None).await?;
        if answer.status == 204 || answer.body.is_empty() {
            return Ok(None);
        }
        self.expect(operation, answer, &[])?.json(operation)
    }

    async fn groups_or_none(&self, operation: &'static str, topic: &Topic) -> Result<Option<Vec<String>>> {
        let answer = self.call(operation, "GET", self.path(topic.as_str(), "/subscriptions"), None).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        self.expect(operation, answer, &[])?.json(operation).map(Some)
    }

    /// The topic's subscriptions.
    pub(crate) async fn groups(&self, operation: &'static str, topic: &Topic) -> Result<Vec<String>> {
        let groups = self.groups_or_none(operation, topic).await?;
        groups.ok_or_else(|| missing(operation, topic))
    }

    /// Creates a subscription at the earliest message that is kept, unless it is there.
    pub(crate) async fn create_group(
        &self,
        operation: &'static str,
        topic: &Topic,
        group: &Group,
    ) -> Result<()> {
        let path = self.path(topic.as_str(), &format!("/subscription/{group}"));
        let answer = self.call(operation, "PUT", path, Some(EARLIEST)).await?;
        self.expect(operation, answer, &[409]).map(drop)
    }

    /// Moves a group to the earliest message that is kept, on every one of `names`, the topic's partitions.
    pub(crate) async fn rewind(
        &self,
        operation: &'static str,
        names: &[String],
        group: &Group,
    ) -> Result<()> {
        for name in names {
            let path = self.path(name, &format!("/subscription/{group}/resetcursor"));
            let answer = self.call(operation, "POST", path, Some(EARLIEST)).await?;
            self.expect(operation, answer, &[])?;
        }
        Ok(())
    }

    /// Moves a group past everything.
    pub(crate) async fn skip(&self, operation: &'static str, topic: &Topic, group: &Group) -> Result<()> {
        let path = self.path(topic.as_str(), &format!("/subscription/{group}/skip_all"));
        let answer = self.call(operation, "POST", path, None).await?;
        self.expect(operation, answer, &[]).map(drop)
    }

    /// Deletes the topic with its subscriptions, whoever is connected.
    pub(crate) async fn delete(
        &self,
        operation: &'static str,
        topic: &Topic,
        partitioned: bool,
    ) -> Result<()> {
        let rest = if partitioned { "/partitions?force=true" } else { "?force=true" };
        let answer = self.call(operation, "DELETE", self.path(topic.as_str(), rest), None).await?;
        self.expect(operation, answer, &[]).map(drop)
    }

    /// Deletes the topic's messages.
    pub(crate) async fn truncate(&self, operation: &'static str, topic: &Topic) -> Result<()> {
        let answer = self.call(operation, "DELETE", self.path(topic.as_str(), "/truncate"), None).await?;
        self.expect(operation, answer, &[]).map(drop)
    }

    /// The statistics of every partition, in their order.
    pub(crate) async fn stats(
        &self,
        operation: &'static str,
        topic: &Topic,
        partitioned: bool,
    ) -> Result<Vec<Stats>> {
        let rest = if partitioned { "/partitioned-stats?perPartition=true" } else { "/stats" };
        let answer = self.call(operation, "GET", self.path(topic.as_str(), rest), None).await?;
        let stats: Stats = self.expect(operation, answer, &[])?.json(operation)?;
        if !partitioned {
            return Ok(vec![stats]);
        }
        let number = |name: &str| name.rsplit_once("-partition-").and_then(|(_, n)| n.parse::<u32>().ok());
        let mut partitions: Vec<_> =
            stats.partitions.into_iter().map(|(name, s)| (number(&name), s)).collect();
        partitions.sort_by_key(|(number, _)| *number);
        Ok(partitions.into_iter().map(|(_, stats)| stats).collect())
    }

    /// The namespace's topics as they are stored: each partition by itself.
    pub(crate) async fn topics(&self, operation: &'static str) -> Result<Vec<String>> {
        let path = format!("/admin/v2/persistent/{}", self.namespace);
        let answer = self.call(operation, "GET", path, None).await?;
        self.expect(operation, answer, &[])?.json(operation)
    }

    /// A setting of the broker that answers; none if the role may not see it.
    pub(crate) async fn settings(&self, operation: &'static str) -> Result<Option<BTreeMap<String, String>>> {
        let path = "/admin/v2/brokers/configuration/runtime".to_owned();
        match self.call(operation, "GET", path, None).await {
            Ok(answer) if answer.status == 200 => answer.json(operation).map(Some),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == Kind::PermissionDenied => Ok(None),
            Err(error) => Err(error),
        }
    }
}

pub(crate) fn missing(operation: &'static str, topic: &Topic) -> Error {
    Error::new(Kind::NotFound, operation, format!("there is no topic `{topic}`"))
        .advice("create it: anybroker topics create URL TOPIC --groups GROUP, or use topology=create")
}
