//! Requests for messages, which wait at the server until there are some.

use std::future::pending;
use std::time::Duration;

use anybroker_core::kit::Session;
use anybroker_core::{MessageId, Result};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName as System};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use crate::config::BATCH;
use crate::error::typed;

/// How long little room waits to become more, before it is asked for little.
const GATHER: Duration = Duration::from_millis(50);

pub(crate) type Answer = Result<Vec<Received>>;

/// An answer with what was asked.
struct Answered {
    asked: usize,
    attempt: Option<String>,
    answer: Answer,
}

/// The requests of one consumer.
pub(crate) struct Polls {
    pub(crate) client: Client,
    pub(crate) url: String,
    waiting: Client,
    wait: Duration,
    visibility: Duration,
    /// The most requests, and how many there may be at the moment: one while the queue is empty.
    most: usize,
    allowed: usize,
    /// The least room that is worth a request.
    portion: usize,
    /// Room that is kept for what has been asked for.
    reserved: usize,
    under_way: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// When little room is asked for all the same.
    due: Option<Instant>,
    /// Whether requests have an attempt's id. ElasticMQ 1.7.1 loses its queue when one that it has answered waits under that
    /// id elsewhere still, as a connection that was cut leaves it.
    attempts: bool,
    /// The attempt of a request that failed: SQS answers it with what it may have given already.
    again: Option<String>,
}

impl Polls {
    pub(crate) fn new(sqs: &crate::backend::Sqs, url: String, prefetch: usize) -> Self {
        let config = &sqs.config;
        Polls {
            client: sqs.cloud.client.clone(),
            url,
            waiting: sqs.cloud.polls.clone(),
            wait: config.wait,
            visibility: config.visibility,
            most: config.receivers,
            allowed: 1,
            portion: (prefetch / 2).clamp(1, BATCH),
            reserved: 0,
            under_way: FuturesUnordered::new(),
            due: None,
            attempts: !config.is_local(),
            again: None,
        }
    }

    /// Asks for as much as there is room for.
    pub(crate) fn fill(&mut self, session: &Session) {
        while self.under_way.len() < self.allowed {
            let room = session.room().messages.saturating_sub(self.reserved);
            if room == 0 {
                self.due = None;
                return;
            }
            if room < self.portion {
                let due = *self.due.get_or_insert_with(|| Instant::now() + GATHER);
                if due > Instant::now() || !self.under_way.is_empty() {
                    return;
                }
            }
            self.due = None;
            self.ask(room.min(BATCH));
        }
    }

    fn ask(&mut self, asked: usize) {
        let attempt =
            self.attempts.then(|| self.again.take().unwrap_or_else(|| MessageId::new().to_string()));
        let request = self
            .waiting
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(asked as i32)
            .wait_time_seconds(self.wait.as_secs() as i32)
            .visibility_timeout(self.visibility.as_secs() as i32)
            .message_attribute_names("All")
            .message_system_attribute_names(System::MessageGroupId)
            .message_system_attribute_names(System::ApproximateReceiveCount)
            .message_system_attribute_names(System::SentTimestamp)
            .set_receive_request_attempt_id(attempt.clone());
        self.reserved += asked;
        let answered = async move {
            let answer = request.send().await;
            let answer =
                answer.map(|output| output.messages.unwrap_or_default()).map_err(|e| typed("receive", e));
            Answered { asked, attempt, answer }
        };
        self.under_way.push(answered.boxed());
    }

    /// Waits for an answer; for ever, if nothing is asked.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Answer {
        match self.last().await {
            Some(answer) => answer,
            None => pending().await,
        }
    }

    /// Waits for an answer; none if nothing is asked.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn last(&mut self) -> Option<Answer> {
        let Answered { asked, attempt, answer } = self.under_way.next().await?;
        self.reserved -= asked;
        match &answer {
            Ok(messages) if messages.is_empty() => self.allowed = 1,
            Ok(_) => self.allowed = (self.allowed + 1).min(self.most),
            Err(_) => {
                self.allowed = 1;
                self.again = attempt;
            }
        }
        Some(answer)
    }

    /// When little room is asked for all the same.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.under_way.is_empty())
    }
}
