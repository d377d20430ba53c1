//! Publishing letters again where they came from.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::envelope::derived;
use super::handled::Acknowledger;
use super::{Allowed, DeadLetter, Filter, Handled, Letter, Letters, Summary};
use crate::backend::Broker;
use crate::delivery::Delivery;
use crate::error::{Error, Kind, Result};
use crate::ext::PublisherExt;
use crate::guarantees::{Confirmation, Requirements};
use crate::message::{Key, Message, rfc3339};
use crate::publisher::{OnFailure, Outcome, PublisherOptions, Receipt, SharedPublisher};
use crate::topic::Topic;

/// How many keys are served at once.
const KEYS: usize = 256;
/// With a rate, so many steps are made a second at most.
const STEPS_PER_SECOND: u32 = 10;
/// Where a message that is replayed under another id keeps its own, as dead letters of foreign messages do.
pub const ORIGINAL_ID: &str = "original-id";

/// How letters are replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayOptions {
    /// Where to, if not to the topic that each was consumed from.
    pub to: Option<Topic>,
    /// Messages a second at most.
    pub rate: Option<NonZeroU32>,
    /// Gives each message another id, made of its own and the time of its death, and keeps its own in the header `original-id`. A
    /// broker that deduplicates then does not take it for the message that it has had, and neither does a consumer.
    pub new_ids: bool,
    /// What may be given up.
    pub allowed: Allowed,
}

/// Letters that are being replayed: each is published as it was before it died, confirmed, and only then acknowledged.
///
/// Of each key one letter at a time is on its way, and after a failure none of the key follows, so that no letter overtakes an
/// earlier one of its key. Ending between two steps leaves the rest where it is; nothing is half done then.
#[derive(Debug)]
pub struct Replay {
    broker: Broker,
    dead_letters: Topic,
    options: ReplayOptions,
    settler: Acknowledger,
    /// The letters of each key, in order; one that is in no order is alone.
    lanes: VecDeque<Lane>,
    publishers: HashMap<Topic, Result<SharedPublisher>>,
    summary: Summary,
    due: Instant,
    until: Option<Instant>,
    is_overdue: bool,
}

#[derive(Debug)]
struct Lane {
    topic: Option<Topic>,
    letters: VecDeque<Letter>,
}

/// A letter in a step.
struct Attempt {
    lane: Lane,
    letter: Letter,
    handled: Handled,
}

impl Letters {
    /// Begins to replay the letters that are meant; nothing is published yet.
    ///
    /// # Errors
    /// `InvalidConfiguration`, and nothing has been done, if a letter would overtake an earlier one of its key that stays, or if
    /// the broker could not acknowledge it before an earlier one that stays: see [`Allowed`].
    pub fn replay(&mut self, filter: &Filter, options: ReplayOptions) -> Result<Replay> {
        if !options.allowed.gaps {
            self.check_gaps(filter)?;
        }
        if !options.allowed.repeats {
            self.check_repeats(filter, "replay")?;
        }
        let until = self.until();
        let letters = self.take(filter);
        Ok(Replay {
            broker: self.queue.broker.clone(),
            dead_letters: self.queue.topic().clone(),
            settler: self.settler.clone(),
            summary: Summary::of(letters.len()),
            lanes: lanes(letters, options.to.as_ref()),
            options,
            publishers: HashMap::new(),
            due: Instant::now(),
            until,
            is_overdue: false,
        })
    }
}

fn lanes(letters: Vec<Letter>, to: Option<&Topic>) -> VecDeque<Lane> {
    let mut lanes: VecDeque<Lane> = VecDeque::new();
    let mut of_keys: HashMap<(Option<Topic>, Key), usize> = HashMap::new();
    for letter in letters {
        let topic = to.or(letter.origin()).cloned();
        let at = match letter.delivery().to_key() {
            Some(key) => *of_keys.entry((topic.clone(), key)).or_insert(lanes.len()),
            None => lanes.len(),
        };
        if at == lanes.len() {
            lanes.push_back(Lane { topic, letters: VecDeque::new() });
        }
        lanes[at].letters.push_back(letter);
    }
    lanes
}

impl Replay {
    /// Waits until the rate allows the next step.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ready(&self) {
        tokio::time::sleep_until(self.due).await;
    }

    /// Replays some more, a letter of a key at most, after [`ready`](Self::ready); says what became of them. Nothing is left to
    /// be done when that is nothing.
    ///
    /// # Cancel safety
    /// Not cancel safe: a cancelled call may have published letters that come again.
    pub async fn step(&mut self) -> Vec<Handled> {
        self.ready().await;
        if self.until.is_some_and(|until| until <= Instant::now()) {
            // Somebody else may be given the rest; it must not be published twice.
            self.lanes.clear();
            self.is_overdue = true;
        }
        let mut attempts = self.next();
        self.pace(attempts.len());
        self.publish(&mut attempts).await;
        let mut handled = self.settle(attempts).await;
        handled.shrink_to_fit();
        self.summary.count(&handled);
        handled
    }

    /// How far it is.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// Whether it ended before its time, because the broker lends letters for less time than it would have taken.
    pub fn is_overdue(&self) -> bool {
        self.is_overdue
    }

    /// Closes the publishers.
    ///
    /// # Errors
    /// As [`Publisher::close`](crate::Publisher::close).
    ///
    /// # Cancel safety
    /// Not cancel safe; everything that was replayed is confirmed already.
    pub async fn close(self) -> Result<()> {
        let closed =
            self.publishers.into_values().flatten().map(|publisher| async move { publisher.close().await });
        join_all(closed).await.into_iter().collect()
    }

    /// The first letter of each of the next keys.
    fn next(&mut self) -> Vec<Attempt> {
        let most = self.options.rate.map_or(KEYS, |rate| (rate.get() / STEPS_PER_SECOND).max(1) as usize);
        let lanes = self.lanes.drain(..most.min(KEYS).min(self.lanes.len()));
        let attempts = lanes.filter_map(|mut lane| {
            let letter = lane.letters.pop_front()?;
            Some(Attempt { handled: Handled::new(&letter, lane.topic.as_ref()), lane, letter })
        });
        attempts.collect()
    }

    fn pace(&mut self, letters: usize) {
        if let Some(rate) = self.options.rate {
            self.due = Instant::now() + Duration::from_secs(1) * letters as u32 / rate.get();
        }
    }

    /// Publishes the letters, those of one topic as a batch, and writes down what the broker said.
    async fn publish(&mut self, attempts: &mut [Attempt]) {
        let mut topics: Vec<(Topic, Vec<&mut Attempt>)> = Vec::new();
        for attempt in attempts {
            match self.target(attempt) {
                Ok(topic) => match topics.iter_mut().find(|(other, _)| *other == topic) {
                    Some((_, of_topic)) => of_topic.push(attempt),
                    None => topics.push((topic, vec![attempt])),
                },
                Err(error) => attempt.handled.error = Some(error),
            }
        }
        for (topic, of_topic) in topics {
            let messages = of_topic.iter().map(|attempt| self.message(&attempt.letter)).collect();
            let outcomes = match self.publisher(&topic).await {
                Ok(publisher) => publisher.publish_batch(messages).await,
                Err(error) => {
                    of_topic.into_iter().for_each(|attempt| attempt.handled.error = Some(error.duplicate()));
                    continue;
                }
            };
            for (attempt, outcome) in of_topic.into_iter().zip(outcomes) {
                let stored = self.stored(outcome);
                attempt.handled.done = stored.is_ok();
                attempt.handled.error = stored.err();
            }
        }
    }

    /// Acknowledges what is published, and puts the keys back whose next letter may follow.
    async fn settle(&mut self, attempts: Vec<Attempt>) -> Vec<Handled> {
        let (mut all, mut published) = (Vec::with_capacity(attempts.len()), Vec::new());
        for Attempt { lane, letter, handled } in attempts {
            if handled.done {
                published.push((all.len(), letter.into_delivery()));
                if !lane.letters.is_empty() {
                    self.lanes.push_back(lane);
                }
            }
            all.push(handled);
        }
        let mut deliveries: HashMap<usize, Delivery> = published.into_iter().collect();
        let done = all.iter_mut().enumerate();
        let done = done.filter_map(|(at, handled)| Some((deliveries.remove(&at)?, handled))).collect();
        self.settler.acknowledge(done).await;
        all
    }

    /// Where it is to be published, if it is.
    fn target(&self, attempt: &Attempt) -> Result<Topic> {
        if !self.settler.0.is_current(attempt.letter.delivery().token()) {
            let text = "it is no longer ours: another member of the group is given it";
            return Err(Error::new(Kind::Fenced, "replay", text));
        }
        let bad = |text: String| Error::new(Kind::InvalidConfiguration, "replay", text);
        match &attempt.lane.topic {
            Some(topic) if *topic == self.dead_letters => {
                Err(bad(format!("it would go into `{topic}`, where it is a dead letter"))
                    .advice("name another topic to replay to"))
            }
            Some(topic) => Ok(topic.clone()),
            None => {
                Err(bad("it does not say which topic it came from".into())
                    .advice("name the topic to replay to"))
            }
        }
    }

    /// The message as it was before it died.
    fn message(&self, letter: &Letter) -> Message {
        let mut message = DeadLetter::original(letter.delivery());
        if self.options.new_ids {
            let died = letter.envelope().and_then(|said| said.time).map(rfc3339);
            let id = derived(&message.id, died.as_deref().unwrap_or("replayed"));
            let original = std::mem::replace(&mut message.id, id);
            if message.headers.get(ORIGINAL_ID).is_none() {
                message.headers.append(ORIGINAL_ID, original.to_string());
            }
        }
        message
    }

    async fn publisher(&mut self, topic: &Topic) -> Result<SharedPublisher> {
        if !self.publishers.contains_key(topic) {
            let confirmed = Requirements::new().publish_confirmation(Confirmation::Confirmed);
            let options = PublisherOptions::new(topic.clone()).require(confirmed);
            // What follows a failure is decided here, where the letters are.
            let opened = self.broker.publisher(options.on_failure(OnFailure::Continue)).await;
            self.publishers.insert(topic.clone(), opened);
        }
        match &self.publishers[topic] {
            Ok(publisher) => Ok(publisher.clone()),
            Err(error) => Err(error.duplicate()),
        }
    }

    /// Whether the message is there because of this.
    fn stored(&self, outcome: Outcome) -> Result<()> {
        match outcome {
            // Under an id that only this death gives, it is an earlier replay of this letter that the broker has had.
            Ok(Receipt { duplicate: true, .. }) if !self.options.new_ids => {
                let text = "the broker has had a message of this id lately, and stored nothing";
                let advice = "replay it when the broker's deduplication window has passed, or with a new id";
                Err(Error::new(Kind::Duplicate, "replay", text).advice(advice))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
