//! What an operator would look at. Nothing here changes the server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anybroker_core::{Diagnosis, Error, Finding, Kind, Topic, TopologyMode};
use aws_sdk_sqs::config::interceptors::BeforeDeserializationInterceptorContextRef as Answered;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};

use crate::backend::Sqs;
use crate::config::SqsConfig;
use crate::error::typed;
use crate::guarantees::span;
use crate::leases::{Changed, change};
use crate::topology::{FEWEST_RECEIVES, GROUP_TAG, Keeper, Queue, Traits};

const OPERATION: &str = "diagnose";
/// SQS refuses what was signed 15 minutes ago; leases and times on messages suffer earlier.
const SKEW: Duration = Duration::from_secs(10);
/// A consumer that is away for a weekend must not lose messages by it.
const SHORT_RETENTION: u64 = 3 * 24 * 60 * 60;

pub(crate) async fn of(sqs: &Sqs, topic: Option<&Topic>) -> Vec<Diagnosis> {
    let mut found = vec![encryption(&sqs.config), credentials(&sqs.config)];
    found.extend(answer(sqs).await);
    if let Some(topic) = topic {
        match Keeper::new(sqs, OPERATION).mode(TopologyMode::Ignore).topic(topic).await {
            Ok(queues) => {
                for queue in queues {
                    found.extend(of_queue(sqs, queue).await);
                }
            }
            Err(error) => found.push(failed("topic", &error)),
        }
    }
    found
}

fn failed(subject: &'static str, error: &Error) -> Diagnosis {
    Diagnosis::new(subject, Finding::Failure, error.to_string())
}

fn encryption(config: &SqsConfig) -> Diagnosis {
    let place = config.place();
    match &config.endpoint {
        None => Diagnosis::new("encryption", Finding::Fine, format!("{place}: TLS")),
        Some(endpoint) if endpoint.starts_with("https://") => {
            Diagnosis::new("encryption", Finding::Fine, format!("{place}: TLS"))
        }
        Some(_) if config.is_local() => {
            Diagnosis::new("encryption", Finding::Fine, format!("{place}: none, on this machine"))
        }
        Some(_) => {
            let text = format!("{place}: none: everybody on the way reads the messages");
            Diagnosis::new("encryption", Finding::Warning, text)
                .advice("endpoint=https://…, tls_ca= for a private authority")
        }
    }
}

fn credentials(config: &SqsConfig) -> Diagnosis {
    let text = match (&config.access_key, &config.profile) {
        (Some((id, _)), _) => format!("access key {id} of the URL"),
        (None, Some(profile)) => format!("profile {profile}"),
        (None, None) if config.is_local() => {
            "the environment's or the default profile's, or else a placeholder, which an emulator takes"
                .to_owned()
        }
        (None, None) => "found by AWS's default chain".to_owned(),
    };
    Diagnosis::new("credentials", Finding::Fine, text)
}

/// Asks for something harmless, and looks at how and when it is answered.
async fn answer(sqs: &Sqs) -> Vec<Diagnosis> {
    let date = Date::default();
    let (started, before) = (Instant::now(), SystemTime::now());
    let asked = sqs.cloud.client.list_queues().max_results(1).queue_name_prefix(sqs.config.prefix.as_str());
    let answered = asked.customize().interceptor(date.clone()).send().await;
    let (took, after) = (started.elapsed(), SystemTime::now());
    let mut found = match answered.map_err(|e| typed(OPERATION, e)) {
        Ok(_) => {
            let listing = Diagnosis::new("permission to list", Finding::Fine, "topics can be listed");
            vec![
                Diagnosis::new(
                    "connection",
                    Finding::Fine,
                    format!("answers within {} ms", took.as_millis()),
                ),
                listing,
            ]
        }
        Err(error)
            if error.kind() == Kind::PermissionDenied && error.to_string().contains("AccessDenied") =>
        {
            let listing = Diagnosis::new("permission to list", Finding::Warning, error.to_string());
            vec![
                Diagnosis::new(
                    "connection",
                    Finding::Fine,
                    format!("answers within {} ms", took.as_millis()),
                ),
                listing.advice("allow sqs:ListQueues, for `topics` and with fan-out for deleting"),
            ]
        }
        Err(error) => vec![failed("connection", &error)],
    };
    found.push(clock(date.take(), before, after));
    found
}

/// The answer says the server's time to the second.
fn clock(server: Option<SystemTime>, before: SystemTime, after: SystemTime) -> Diagnosis {
    let Some(server) = server else {
        return Diagnosis::new("clock", Finding::Unknown, "the answer does not say the server's time");
    };
    let ahead = before.duration_since(server + Duration::from_secs(1)).unwrap_or_default();
    let behind = server.duration_since(after).unwrap_or_default();
    let skew = ahead.max(behind);
    if skew <= SKEW {
        return Diagnosis::new("clock", Finding::Fine, "this machine's clock agrees with the server's");
    }
    let side = if ahead > behind { "ahead of" } else { "behind" };
    let text = format!("this machine's clock is {} s {side} the server's", skew.as_secs());
    Diagnosis::new("clock", Finding::Warning, text)
        .advice("set the clock: SQS refuses requests that are 15 minutes off")
}

async fn of_queue(sqs: &Sqs, queue: Queue) -> Vec<Diagnosis> {
    let keeper = Keeper::new(sqs, OPERATION);
    let mut found = Vec::new();
    match keeper.traits(&queue).await {
        Ok(Some(traits)) => found.extend(attributes(&sqs.config, &queue, &traits)),
        Ok(None) => found.push(
            Diagnosis::new(
                "permission to look",
                Finding::Warning,
                format!("queue `{}`: attributes may not be read", queue.name()),
            )
            .advice("allow sqs:GetQueueAttributes, so that what differs is found"),
        ),
        Err(error) => found.push(failed("queue", &error)),
    }
    if queue.group.is_none() {
        found.push(match keeper.owner_of(&queue).await {
            Ok(Some(group)) => Diagnosis::new(
                "group",
                Finding::Fine,
                format!("queue `{}` is group `{group}`'s", queue.name()),
            ),
            Ok(None) => Diagnosis::new(
                "group",
                Finding::Warning,
                format!("queue `{}` has no tag {GROUP_TAG}", queue.name()),
            )
            .advice("anybroker topics create URL TOPIC --groups GROUP"),
            Err(error) => Diagnosis::new("group", Finding::Unknown, error.to_string()),
        });
    }
    found.push(permission_to_consume(sqs, &queue).await);
    let text = format!("queue `{}`: whether sending is permitted shows only by sending", queue.name());
    found.push(
        Diagnosis::new("permission to publish", Finding::Unknown, text)
            .advice("publish a message to a topic for tests"),
    );
    found
}

/// A receipt handle that is none: who may not settle is refused before SQS looks at it.
async fn permission_to_consume(sqs: &Sqs, queue: &Queue) -> Diagnosis {
    let subject = "permission to consume";
    let client = &sqs.cloud.client;
    let deleted = client.delete_message().queue_url(&queue.url).receipt_handle("none").send().await;
    let denied = deleted.err().map(|e| typed(OPERATION, e)).filter(|e| e.kind() == Kind::PermissionDenied);
    if let Some(error) = denied {
        return failed(subject, &error)
            .advice("allow sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility");
    }
    let extended = change(client, &queue.url, vec!["none".to_owned()], Duration::ZERO).await;
    if extended == [Changed::Unknown] {
        let text = format!("queue `{}`: visibility timeouts cannot be changed", queue.name());
        return Diagnosis::new(subject, Finding::Failure, text)
            .advice("allow sqs:ChangeMessageVisibility: without it long work is delivered twice");
    }
    Diagnosis::new(
        subject,
        Finding::Fine,
        format!("queue `{}`: deleting and extending are permitted", queue.name()),
    )
}

fn attributes(config: &SqsConfig, queue: &Queue, traits: &Traits) -> Vec<Diagnosis> {
    let name = queue.name();
    let mut found = vec![match traits.redrive {
        Some(count) if count < FEWEST_RECEIVES => {
            let text = format!(
                "queue `{name}` moves messages away after {count} receives, tried or not, past the order"
            );
            Diagnosis::new("redrive", Finding::Warning, text)
                .advice(format!("maxReceiveCount of {FEWEST_RECEIVES} or more"))
        }
        Some(count) => Diagnosis::new(
            "redrive",
            Finding::Fine,
            format!("queue `{name}`: a backstop after {count} receives"),
        ),
        None => {
            Diagnosis::new("redrive", Finding::Fine, format!("queue `{name}`: none; the client dead-letters"))
        }
    }];
    if traits.delay > 0 {
        let text = format!("queue `{name}` delays every message by {} s", traits.delay);
        found.push(Diagnosis::new("delay", Finding::Failure, text).advice("set DelaySeconds to 0"));
    }
    match traits.retention {
        Some(seconds) if seconds < SHORT_RETENTION => {
            let text =
                format!("queue `{name}` loses messages that are not consumed within {}", span(seconds));
            found.push(
                Diagnosis::new("retention", Finding::Warning, text)
                    .advice("MessageRetentionPeriod of up to 14 days"),
            );
        }
        Some(seconds) => found.push(Diagnosis::new(
            "retention",
            Finding::Fine,
            format!("queue `{name}`: {}", span(seconds)),
        )),
        None => found.push(Diagnosis::new(
            "retention",
            Finding::Unknown,
            format!("queue `{name}` does not say it"),
        )),
    }
    if traits.content_deduplication {
        let text = format!(
            "queue `{name}` removes equal bodies of programs that give no deduplication id; anybroker gives one"
        );
        found.push(Diagnosis::new("deduplication", Finding::Fine, text));
    }
    if traits.visibility.is_some_and(|seconds| seconds != config.visibility.as_secs()) {
        let text = format!(
            "queue `{name}`: {} for other programs; consumers of anybroker ask for {}",
            span(traits.visibility.unwrap_or_default()),
            span(config.visibility.as_secs())
        );
        found.push(Diagnosis::new("visibility", Finding::Fine, text));
    }
    if config.is_amazon() && !traits.encrypted {
        let text = format!("queue `{name}` is not encrypted at rest");
        found.push(
            Diagnosis::new("encryption at rest", Finding::Warning, text)
                .advice("SqsManagedSseEnabled costs nothing"),
        );
    }
    let text = format!("queue `{name}`: {} wait, consumers hold {}", traits.waiting, traits.held);
    found.push(Diagnosis::new("backlog", Finding::Fine, text));
    found
}

/// Keeps the date of an answer.
#[derive(Clone, Debug, Default)]
struct Date(Arc<Mutex<Option<SystemTime>>>);

impl Date {
    fn take(&self) -> Option<SystemTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &Answered<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let text = context.response().headers().get("date");
        let date = text.and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            date.and_then(|date| SystemTime::try_from(date).ok());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared() {
        let now = SystemTime::now();
        let finding = |server| clock(Some(server), now, now).finding;
        let minute = Duration::from_secs(60);
        assert_eq!(
            [finding(now), finding(now - minute), finding(now + minute)],
            [Finding::Fine, Finding::Warning, Finding::Warning]
        );
        assert!(clock(Some(now - minute), now, now).text.contains("ahead of"));
        assert_eq!(clock(None, now, now).finding, Finding::Unknown);
    }

    #[test]
    fn settings_that_weaken_are_found() {
        let config = SqsConfig::new("r");
        let queue = Queue { url: "http://h/1/orders.fifo".into(), group: None, traits: None };
        let traits = Traits { redrive: Some(3), retention: Some(60), delay: 5, ..Traits::default() };
        let weak: Vec<_> = attributes(&config, &queue, &traits)
            .into_iter()
            .filter(|diagnosis| diagnosis.finding >= Finding::Warning)
            .map(|diagnosis| diagnosis.subject)
            .collect();
        assert_eq!(weak, ["redrive", "delay", "retention", "encryption at rest"]);
    }
}
