//! Reply topics of requesters that were killed: found by their names, and deleted once nobody can be there any more.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anybroker_core::{Broker, Error, Kind, Result, Topic};

use super::requester::{REPLIES, delete, start};

/// Which reply topics are looked at, and when they count as abandoned.
#[derive(Clone, Debug)]
pub struct RemovalOptions {
    requests: Option<Topic>,
    among: Option<Vec<Topic>>,
    older_than: Duration,
    gone_for: Duration,
}

impl Default for RemovalOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl RemovalOptions {
    /// All that this client can see, of requesters that were opened an hour ago or earlier, and that are gone for a minute.
    pub fn new() -> Self {
        let (older_than, gone_for) = (Duration::from_secs(3_600), Duration::from_secs(60));
        RemovalOptions { requests: None, among: None, older_than, gone_for }
    }

    /// Only those for requests to this topic: where a broker is shared with others. Names of reply topics hold its first 18
    /// characters.
    pub fn of(mut self, requests: Topic) -> Self {
        self.requests = Some(requests);
        self
    }

    /// Only among these, which are not listed then: for a broker that cannot list topics, as RabbitMQ. What is not called as a
    /// requester calls its reply topic is passed over.
    pub fn among(mut self, topics: impl IntoIterator<Item = Topic>) -> Self {
        self.among = Some(topics.into_iter().collect());
        self
    }

    /// How long ago they must have been created, by the time in their names: longer than opening a requester takes, with what
    /// the clocks differ by.
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = age;
        self
    }

    /// How long nobody may have been there. Longer than a requester takes to reconnect: one that comes back later finds its
    /// reply topic deleted, and its requests fail.
    pub fn gone_for(mut self, time: Duration) -> Self {
        self.gone_for = time;
        self
    }

    /// The reply topics that are old enough.
    async fn candidates(&self, broker: &Broker) -> Result<Vec<Topic>> {
        let topics = match &self.among {
            Some(topics) => topics.clone(),
            None => {
                let listed = broker.admin().topics().await.map_err(|error| match error.kind() {
                    Kind::Unsupported => error.advice(
                        "list them with the broker's own tools, and name them: RemovalOptions::among",
                    ),
                    _ => error,
                })?;
                listed.into_iter().filter_map(|info| Topic::new(info.topic).ok()).collect()
            }
        };
        let start = self.requests.as_ref().map(start);
        let wanted = |topic: &Topic| match made(topic) {
            Some((of, age)) => age >= self.older_than && start.as_ref().is_none_or(|start| of == start),
            None => false,
        };
        Ok(topics.into_iter().filter(wanted).collect())
    }
}

/// What became of the reply topics that are old enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// They were abandoned, and are deleted.
    pub removed: Vec<Topic>,
    /// Somebody is there.
    pub in_use: Vec<Topic>,
    /// The broker does not tell how many are there: SQS never, RabbitMQ of a queue that somebody is at. They stay.
    pub not_told: Vec<Topic>,
}

/// Deletes the reply topics that killed requesters left behind. Run it now and then, from one place: it is nobody's
/// business on the way of a request.
///
/// A requester is a member of its reply topic's group for as long as it lives, and the broker itself finds out that a member
/// is dead. A topic is deleted if it is [old enough](RemovalOptions::older_than) and its groups have no member at two looks,
/// [so far apart](RemovalOptions::gone_for). Kafka and NATS take a killed requester for a member until its session has timed out;
/// RabbitMQ cannot [list](RemovalOptions::among) topics.
///
/// ```
/// # use std::time::Duration;
/// use anybroker_core::Topic;
/// use anybroker_patterns::request_reply::{RemovalOptions, remove_abandoned};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let broker = anybroker_memory::connect(&"memory://abandoned".parse()?).await?;
/// let removal = remove_abandoned(&broker, RemovalOptions::new().of(Topic::new("price-requests")?)).await?;
/// println!("{} were abandoned, {} are in use", removal.removed.len(), removal.in_use.len());
/// # broker.close().await
/// # }).unwrap();
/// ```
///
/// # Errors
/// `Unsupported` where topics cannot be listed; `PermissionDenied`; what listing, looking and deleting fail with.
///
/// # Cancel safety
/// A cancelled call may have deleted some.
pub async fn remove_abandoned(broker: &Broker, options: RemovalOptions) -> Result<Removal> {
    let mut removal = Removal::default();
    let gone = look(broker, options.candidates(broker).await?, &mut removal).await?;
    if gone.is_empty() {
        return Ok(removal);
    }
    // That nobody comes back is no event.
    tokio::time::sleep(options.gone_for).await;
    for topic in look(broker, gone, &mut removal).await? {
        delete(broker, &topic).await.map_err(|error| denied(error, &topic))?;
        removal.removed.push(topic);
    }
    Ok(removal)
}

/// Those of the topics where nobody is; the others are told.
async fn look(broker: &Broker, topics: Vec<Topic>, removal: &mut Removal) -> Result<Vec<Topic>> {
    let mut gone = Vec::new();
    for topic in topics {
        let groups = match broker.admin().groups(&topic).await {
            // Its requester was closed meanwhile.
            Err(error) if error.kind() == Kind::NotFound => continue,
            groups => groups?,
        };
        // A group that is not listed has neither members nor a place.
        if groups.iter().all(|group| group.members == Some(0)) {
            gone.push(topic);
        } else if groups.iter().any(|group| group.members.is_some_and(|members| members > 0)) {
            removal.in_use.push(topic);
        } else {
            removal.not_told.push(topic);
        }
    }
    Ok(gone)
}

/// What a reply topic is for, and how old it is. None for what no requester has made.
fn made(topic: &Topic) -> Option<(&str, Duration)> {
    let (of, id) = topic.as_str().rsplit_once(REPLIES)?;
    if id.len() != 24 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let milliseconds = u64::from_str_radix(&id[..12], 16).ok()?;
    let made = UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))?;
    // By a clock that is ahead it is made in the future: no age at all.
    Some((of, SystemTime::now().duration_since(made).unwrap_or_default()))
}

fn denied(error: Error, topic: &Topic) -> Error {
    match error.kind() {
        Kind::PermissionDenied => error.advice(format!("let it delete topics such as `{topic}`")),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_requester_made_is_known_by_its_name() {
        let topic = |name: &str| Topic::new(name).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let (hour_ago, ahead) = (now - 3_600_000, now + 3_600_000);
        let old = topic(&format!("prices-replies-{hour_ago:012x}0123456789ab"));
        let (of, age) = made(&old).unwrap();
        assert_eq!((of, age.as_secs() / 60), ("prices", 60));
        assert_eq!(made(&topic(&format!("a-replies-{ahead:012x}0123456789ab"))), Some(("a", Duration::ZERO)));
        for name in ["prices", "shop-1-replies", "a-replies-1", "a-replies-0123456789abxyz456789abc"] {
            assert_eq!(made(&topic(name)), None, "{name}");
        }
    }
}
