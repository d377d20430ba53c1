//! A broker with a topic, its dead letter topic, and a service that gives messages up.

use std::time::Duration;

use anybroker::dead_letter::{Filter, Letters, Queue, Replay, ReplayOptions, Summary};
use anybroker::{
    Broker, Consumer, ConsumerExt, DeadLetterPolicy, Delivery, Group, Kind, Message, PublisherExt,
    PublisherOptions, Reason, Subscription, Topic, Topology,
};

pub(crate) struct Place {
    pub(crate) broker: Broker,
    pub(crate) topic: Topic,
    pub(crate) dead: Topic,
}

pub(crate) fn group() -> Group {
    Group::new("billing").unwrap()
}

pub(crate) fn operators() -> Group {
    Group::new("dlq").unwrap()
}

impl Place {
    pub(crate) async fn new(url: &str) -> Self {
        let broker = anybroker::connect(url).await.unwrap();
        let [topic, dead] = ["orders", "orders.dead"].map(|name| Topic::new(name).unwrap());
        let topology = Topology::new(topic.clone()).group(group());
        broker.admin().declare(&topology).await.unwrap();
        broker.admin().declare(&Topology::new(dead.clone()).group(operators())).await.unwrap();
        Place { broker, topic, dead }
    }

    pub(crate) async fn publish(&self, topic: &Topic, messages: Vec<Message>) {
        let publisher = self.broker.publisher(PublisherOptions::new(topic.clone())).await.unwrap();
        for outcome in publisher.publish_batch(messages).await {
            outcome.unwrap();
        }
        publisher.close().await.unwrap();
    }

    /// Publishes the messages, all of which the service gives up, each for the reason that `why` has for it.
    pub(crate) async fn give_up(&self, messages: Vec<Message>, why: impl Fn(&Delivery) -> Reason) {
        let count = messages.len();
        self.publish(&self.topic, messages).await;
        let mut service = self.service().await;
        for _ in 0..count {
            let delivery = service.next().await.unwrap();
            let reason = why(&delivery);
            delivery.dead_letter(reason).await.unwrap();
        }
        service.close().await.unwrap();
    }

    pub(crate) async fn service(&self) -> Box<dyn Consumer> {
        let policy = DeadLetterPolicy { topic: self.dead.clone(), max_attempts: None };
        let subscription = Subscription::new(self.topic.clone(), group()).dead_letter(policy);
        self.broker.consumer(subscription).await.unwrap()
    }

    /// What the service gets now, acknowledged.
    pub(crate) async fn received(&self) -> Vec<Message> {
        let mut service = self.service().await;
        let mut all = Vec::new();
        while let Ok(next) = tokio::time::timeout(Duration::from_millis(200), service.next()).await {
            let delivery = next.unwrap();
            all.push(delivery.to_message());
            delivery.ack().await.unwrap();
        }
        service.close().await.unwrap();
        all
    }

    pub(crate) async fn letters(&self) -> Letters {
        self.letters_of(&self.dead).await
    }

    pub(crate) async fn letters_of(&self, topic: &Topic) -> Letters {
        let queue = Queue::new(self.broker.clone(), topic.clone(), operators());
        let mut letters = queue.idle(Duration::from_millis(200)).open().await.unwrap();
        letters.read(|_| false).await.unwrap();
        letters
    }

    /// The ids of the letters that are there, with the attempts that this is for the operators.
    pub(crate) async fn left(&self) -> Vec<String> {
        let letters = self.letters().await;
        let ids = letters.held().iter().map(|letter| letter.id().unwrap().to_string()).collect();
        assert!(letters.held().iter().all(|letter| letter.delivery().attempt() == 1));
        assert_eq!(letters.close().await.unwrap(), 0);
        ids
    }

    /// Replays all that is meant.
    pub(crate) async fn replay(&self, filter: &Filter, options: ReplayOptions) -> Replayed {
        let mut letters = self.letters().await;
        let replay = letters.replay(filter, options).unwrap();
        let (summary, errors) = to_the_end(replay).await;
        Replayed { summary, errors, again: letters.close().await.unwrap() }
    }
}

#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) summary: Summary,
    pub(crate) errors: Vec<Kind>,
    pub(crate) again: usize,
}

pub(crate) async fn to_the_end(mut replay: Replay) -> (Summary, Vec<Kind>) {
    let mut errors = Vec::new();
    loop {
        let handled = replay.step().await;
        if handled.is_empty() {
            break;
        }
        errors.extend(handled.iter().filter_map(|one| Some(one.error.as_ref()?.kind())));
    }
    let summary = replay.summary();
    replay.close().await.unwrap();
    (summary, errors)
}

/// `each` messages of every key `a`, `b`, `c`, one of each in turn: `a-0`, `b-0`, `c-0`, `a-1`, …
pub(crate) fn three_keys(each: usize) -> Vec<Message> {
    let message = |at: usize, key: &str| {
        Message::new(vec![0, 0xff, at as u8])
            .with_id(format!("{key}-{at}"))
            .with_key(key)
            .with_type(format!("type.{key}"))
            .with_header("twice", "1")
            .with_header("twice", vec![0xff, at as u8])
            .with_extension("traceparent", format!("00-0af7651916cd43dd8448eb211c80319c-{at:016x}-01"))
    };
    (0..each).flat_map(|at| ["a", "b", "c"].map(|key| message(at, key))).collect()
}

pub(crate) fn of_key<'a>(messages: &'a [Message], key: &str) -> Vec<&'a Message> {
    messages.iter().filter(|message| message.key == Some(key.into())).collect()
}
