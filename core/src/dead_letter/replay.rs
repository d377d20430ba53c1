//! Publishing letters again where they came from.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::envelope::derived;
use super::handled::Acknowledger;
use super::target::{Targets, remembered, stored};
use super::{Allowed, DeadLetter, Filter, Handled, Letter, Letters, Summary};
use crate::delivery::Delivery;
use crate::error::{Error, Kind, Result};
use crate::message::{Key, Message, rfc3339};
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
    dead_letters: Topic,
    options: ReplayOptions,
    settler: Acknowledger,
    filter: Filter,
    began: SystemTime,
    /// The letters of each key, in order; one that is in no order is alone.
    lanes: VecDeque<Lane>,
    /// Those of which a letter failed, with that letter: nothing of them is tried again.
    stuck: Vec<Lane>,
    targets: Targets,
    summary: Summary,
    due: Instant,
    until: Option<Instant>,
    is_overdue: bool,
}

#[derive(Debug)]
struct Lane {
    topic: Option<Topic>,
    key: Option<Key>,
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
        let mut replay = Replay {
            dead_letters: self.queue.topic().clone(),
            settler: self.settler.clone(),
            filter: filter.clone(),
            began: SystemTime::now(),
            summary: Summary::default(),
            lanes: VecDeque::new(),
            stuck: Vec::new(),
            options,
            targets: Targets::new(self.queue.broker.clone()),
            due: Instant::now(),
            until: self.until(),
            is_overdue: false,
        };
        replay.add(self.take(|letter| filter.matches(letter)));
        Ok(replay)
    }
}

impl Replay {
    /// Puts letters behind the earlier ones of their keys.
    fn add(&mut self, letters: Vec<Letter>) {
        self.summary.add(letters.len());
        let mut of_keys: HashMap<(Option<Topic>, Key), usize> = HashMap::new();
        for letter in letters {
            let topic = self.options.to.as_ref().or(letter.origin()).cloned();
            let key = letter.delivery().to_key();
            if let Some(stuck) =
                self.stuck.iter_mut().find(|lane| key.is_some() && lane.topic == topic && lane.key == key)
            {
                stuck.letters.push_back(letter);
                continue;
            }
            let next = self.lanes.len();
            let at = key.clone().map_or(next, |key| *of_keys.entry((topic.clone(), key)).or_insert(next));
            if at == next {
                self.lanes.push_back(Lane { topic, key, letters: VecDeque::new() });
            }
            self.lanes[at].letters.push_back(letter);
        }
    }

    /// When nothing is left to be done: reads what the broker hands out only now, and says whether any of that is to be done.
    /// Letters that have died since the beginning are not.
    ///
    /// # Errors
    /// As [`Letters::read`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read_on(&mut self, letters: &mut Letters) -> Result<bool> {
        if self.is_overdue {
            return Ok(false);
        }
        let more = letters.read_on(&self.filter, self.began).await?;
        self.add(more);
        Ok(!self.lanes.is_empty())
    }

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
            self.stuck.extend(self.lanes.drain(..));
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
        self.targets.close().await
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
            match self.topic_of(attempt) {
                Ok(topic) => match topics.iter_mut().find(|(other, _)| *other == topic) {
                    Some((_, of_topic)) => of_topic.push(attempt),
                    None => topics.push((topic, vec![attempt])),
                },
                Err(error) => attempt.handled.error = Some(error),
            }
        }
        for (topic, of_topic) in topics {
            let target = match self.targets.open(&topic).await {
                Ok(target) => target,
                Err(error) => {
                    of_topic.into_iter().for_each(|attempt| attempt.handled.error = Some(error.duplicate()));
                    continue;
                }
            };
            let new_ids = self.options.new_ids;
            let early = |attempt: &&mut Attempt| !new_ids && target.is_early(&attempt.letter);
            let (early, of_topic): (Vec<_>, Vec<_>) = of_topic.into_iter().partition(early);
            early.into_iter().for_each(|attempt| attempt.handled.error = Some(remembered()));
            let messages = of_topic.iter().map(|attempt| self.message(&attempt.letter)).collect();
            for (attempt, outcome) in of_topic.into_iter().zip(target.publish(messages).await) {
                let stored = stored(outcome, new_ids);
                attempt.handled.done = stored.is_ok();
                attempt.handled.error = stored.err();
            }
        }
    }

    /// Acknowledges what is published, and puts the keys back whose next letter may follow.
    async fn settle(&mut self, attempts: Vec<Attempt>) -> Vec<Handled> {
        let (mut all, mut published) = (Vec::with_capacity(attempts.len()), Vec::new());
        for Attempt { mut lane, letter, handled } in attempts {
            if !handled.done {
                // Held, so that neither it nor what follows it comes again before the end.
                lane.letters.push_front(letter);
                self.stuck.push(lane);
            } else {
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
    fn topic_of(&self, attempt: &Attempt) -> Result<Topic> {
        if !self.settler.0.is_current(attempt.letter.delivery().token()) {
            let text = "it is no longer ours: another member of the group is given it";
            return Err(Error::new(Kind::Fenced, "replay", text));
        }
        let bad = |text: String| Error::new(Kind::InvalidConfiguration, "replay", text);
        match &attempt.lane.topic {
            Some(topic) if *topic == self.dead_letters => {
                Err(bad(format!("it would go into `{topic}`, where it is a dead letter"))
                    .advice("name another topic to replay to (--to)"))
            }
            Some(topic) => Ok(topic.clone()),
            None => Err(bad("it does not say which topic it came from".into())
                .advice("name the topic to replay to (--to)")),
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
}
