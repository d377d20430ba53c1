//! A service's life in virtual time: publishers, members that come, work, fail and go, and the end, when everybody has
//! become polite and all has gone quiet.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anybroker::backend::memory::{Adversary, Like};
use anybroker::{
    Broker, Consumer, DeadLetterPolicy, Deduplication, Delivery, Fate, Group, Guarantees, Kind, Message,
    OnFailure, Publisher, PublisherOptions, Settlement, Subscription, Topic, Topology, Verdict,
};
use anybroker_conformance::history::{Drained, Event, Header, Promises};
use anybroker_conformance::plan::{at_most_once, delivery_limit, promises, window};
use anybroker_conformance::recorder::Recorder;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use crate::beliefs::{Beliefs, Settling};
use crate::dice::Dice;

const MESSAGES: usize = 14;
const PUBLISHERS: usize = 2;
const MEMBERS: usize = 2;
const KEYS: u64 = 4;
const PREFETCH: usize = 20;
const MAX_ATTEMPTS: u32 = 3;
/// Longer than any stall, delay or late confirmation.
const QUIET: Duration = Duration::from_secs(15);

static NEXT: AtomicU64 = AtomicU64::new(0);

/// What one seed's run gave.
pub(crate) struct Run {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) beliefs: Beliefs,
    pub(crate) broker: Broker,
}

impl Run {
    pub(crate) fn adversary(&self) -> &Adversary {
        adversary(&self.broker)
    }
}

fn adversary(broker: &Broker) -> &Adversary {
    broker.native().and_then(|native| native.downcast_ref()).expect("it was asked for")
}

/// How the service of a seed works.
#[derive(Clone, Copy)]
struct Manners {
    /// A message that fails so often is given up.
    max_attempts: Option<u32>,
    /// It puts nothing back.
    gentle: bool,
    /// A publish without an answer is tried again.
    retries: bool,
}

impl Manners {
    fn new(guarantees: &Guarantees, dice: &mut Dice) -> Self {
        Manners {
            max_attempts: (dice.below(2) == 0).then_some(MAX_ATTEMPTS),
            gentle: dice.below(3) == 0,
            retries: guarantees.deduplication.value == Deduplication::Window && dice.below(2) == 0,
        }
    }

    /// What the history of such a service is held to.
    fn promises(self, guarantees: &Guarantees) -> Promises {
        let promises = window(guarantees, PREFETCH, promises(guarantees));
        // A delay is kept by the client: what it lets go comes again at once.
        let promises = Promises { p12: None, ..promises };
        // A limit counts failures, and not what was overtaken or what other sessions forgot: no history shows that.
        let promises = match self.max_attempts {
            Some(_) => promises,
            None => delivery_limit(guarantees, u32::MAX, promises),
        };
        if self.gentle { at_most_once(guarantees, promises) } else { promises }
    }
}

/// Everything that tasks of one run share.
struct World {
    recorded: Broker,
    topic: Topic,
    dead: Topic,
    manners: Manners,
    beliefs: RefCell<Beliefs>,
    /// Publishing is over, and the members settle everything at once.
    polite: Cell<bool>,
    moved: Cell<Instant>,
}

/// Runs one seed on a runtime of its own, whose time goes as fast as it can.
pub(crate) fn run(like: Like, seed: u64) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(LocalSet::new().run_until(live(like, seed)))
}

async fn live(like: Like, seed: u64) -> Run {
    let mut dice = Dice::new(seed ^ 0x5eed);
    // One broker a run, also where the same seed runs again at the same time.
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    let url = format!("memory://worst-{unique}?like={like}&adversary={seed}");
    let broker = anybroker::connect(&url).await.expect("it opens");
    let (topic, dead) = (Topic::new("t").expect("a topic"), Topic::new("dead").expect("a topic"));
    let count = if like == Like::SqsFifo { 1 } else { 1 + dice.below(2) };
    let groups: Vec<_> = (0..count).map(|at| Group::new(format!("g{at}")).expect("a group")).collect();
    let reader = Group::new("reader").expect("a group");
    let mut topology = Topology::new(topic.clone());
    topology.groups.clone_from(&groups);
    broker.admin().declare(&topology).await.expect("it is declared");
    broker.admin().declare(&Topology::new(dead.clone()).group(reader.clone())).await.expect("it is declared");
    let guarantees = broker.guarantees(Some(&topic), groups.first()).await.expect("they are known");
    let manners = Manners::new(&guarantees, &mut dice);
    let recorder =
        Recorder::new(&Header::new(like.as_str(), manners.promises(&guarantees))).expect("a history");
    let world = Rc::new(World {
        recorded: recorder.wrap(broker.clone()),
        topic: topic.clone(),
        dead: dead.clone(),
        manners,
        beliefs: RefCell::default(),
        polite: Cell::new(false),
        moved: Cell::new(Instant::now()),
    });
    let members = groups.iter().flat_map(|group| std::iter::repeat_n(group, MEMBERS));
    let members: Vec<_> = members
        .enumerate()
        .map(|(number, group)| {
            tokio::task::spawn_local(member(world.clone(), group.clone(), number as u64, dice.fork()))
        })
        .collect();
    let letters = tokio::task::spawn_local(read_dead_letters(world.clone(), reader.clone()));
    sleep(Duration::from_millis(500)).await;
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| tokio::task::spawn_local(publish(world.clone(), number, dice.fork())))
        .collect();
    for publisher in publishers {
        publisher.await.expect("a publisher");
    }
    world.polite.set(true);
    for task in members.into_iter().chain([letters]) {
        task.await.expect("a member");
    }
    for (group, topic) in groups.iter().map(|group| (group, &topic)).chain([(&reader, &dead)]) {
        recorder
            .record(&Event::Drained(Drained { group: group.as_str().into(), topic: topic.as_str().into() }));
    }
    let mut beliefs = world.beliefs.take();
    beliefs.conclude();
    Run { recorder, beliefs, broker }
}

impl World {
    fn adversary(&self) -> &Adversary {
        adversary(&self.recorded)
    }

    fn moves(&self) {
        self.moved.set(Instant::now());
    }

    fn is_over(&self) -> bool {
        self.polite.get() && self.moved.get().elapsed() > QUIET
    }
}

async fn publish(world: Rc<World>, number: usize, mut dice: Dice) {
    let on_failure = if dice.below(2) == 0 { OnFailure::HoldKey } else { OnFailure::Continue };
    let options = PublisherOptions::new(world.topic.clone()).on_failure(on_failure);
    let publisher = world.recorded.publisher(options).await.expect("a publisher");
    let mut sent = 0;
    while sent < MESSAGES {
        let size = (1 + dice.below(4) as usize).min(MESSAGES - sent);
        let batch: Vec<_> = (sent..sent + size).map(|at| message(number, at, &mut dice)).collect();
        sent += size;
        portion(&world, &*publisher, batch, dice.below(3) > 0).await;
        sleep(Duration::from_millis(dice.below(300))).await;
    }
    let _ = publisher.close().await;
}

fn message(number: usize, at: usize, dice: &mut Dice) -> Message {
    let message = Message::new("payload").with_id(format!("m{number}-{at}"));
    match dice.below(KEYS + 1) {
        KEYS => message,
        key => message.with_key(format!("k{key}")),
    }
}

async fn portion(world: &World, publisher: &dyn Publisher, batch: Vec<Message>, wait: bool) {
    let ids: Vec<_> = batch.iter().map(|message| message.id.to_string()).collect();
    ids.iter().for_each(|id| world.beliefs.borrow_mut().publishes(id));
    let permit = publisher.ready(batch.len(), 1_000).await.expect("room");
    let confirmations = publisher.enqueue(permit, batch);
    if !wait {
        // The outcome comes in its own time, and the history has it.
        return;
    }
    for (id, outcome) in ids.iter().zip(confirmations.await) {
        world.beliefs.borrow_mut().published(id, &outcome);
        let Err(failed) = outcome else { continue };
        if let Some(key) = &failed.message().key {
            publisher.resume(key);
        }
        if world.manners.retries && failed.error().fate() == Fate::Unknown {
            let again = failed.into_parts().1;
            let permit = publisher.ready(1, again.size()).await.expect("room");
            drop(publisher.enqueue(permit, vec![again]));
        }
    }
}

/// A process that is started again whenever it ends.
async fn member(world: Rc<World>, group: Group, number: u64, mut dice: Dice) {
    while !world.is_over() {
        sleep(Duration::from_millis(dice.below(400))).await;
        let policy = DeadLetterPolicy { topic: world.dead.clone(), max_attempts: world.manners.max_attempts };
        let subscription = Subscription::new(world.topic.clone(), group.clone());
        let subscription =
            subscription.prefetch(1 + dice.below(PREFETCH as u64) as usize).dead_letter(policy);
        let subscription = subscription.drain(Duration::from_millis(dice.below(500)));
        let Ok(consumer) = world.recorded.consumer(subscription).await else { continue };
        session(&world, (&group, number), consumer, &mut dice).await;
    }
}

async fn session(world: &World, member: (&Group, u64), mut consumer: Box<dyn Consumer>, dice: &mut Dice) {
    let mut held = Vec::new();
    for _ in 0..(3 + dice.below(20)) {
        match timeout(Duration::from_secs(3), consumer.receive(1 + dice.below(6) as usize)).await {
            Ok(Ok(batch)) => {
                world.moves();
                for delivery in batch {
                    world.beliefs.borrow_mut().delivered(member.0, member.1, &delivery);
                    held.push(delivery);
                }
            }
            Ok(Err(error)) if error.kind() == Kind::Throttled => {}
            // It is over: the process ends, and with it what it holds.
            Ok(Err(_)) => break,
            Err(_) if world.is_over() => break,
            Err(_) => {}
        }
        sleep(Duration::from_millis(dice.below(100))).await;
        if !world.polite.get() && world.adversary().kills() {
            world.beliefs.borrow_mut().let_go(member.0, member.1);
            return drop(consumer);
        }
        settle(world, member, &*consumer, &mut held, dice).await;
    }
    let in_order = world.polite.get() || dice.below(2) == 0;
    if in_order {
        settle(world, member, &*consumer, &mut held, dice).await;
    }
    world.beliefs.borrow_mut().let_go(member.0, member.1);
    if in_order {
        let _ = consumer.close().await;
    } else {
        drop(consumer);
    }
}

/// Settles some of what is held, and keeps the rest for later.
async fn settle(
    world: &World,
    (group, number): (&Group, u64),
    consumer: &dyn Consumer,
    held: &mut Vec<Delivery>,
    dice: &mut Dice,
) {
    let mut batch = Vec::new();
    for delivery in std::mem::take(held) {
        let verdict = match dice.below(100) {
            _ if world.polite.get() || world.manners.gentle => Verdict::Ack,
            0..60 => Verdict::Ack,
            60..72 => Verdict::Nack { delay: Duration::from_millis(dice.below(500)) },
            72..80 => {
                // Dropping releases it.
                world.beliefs.borrow_mut().lays_down(group, number, delivery.to_key());
                continue;
            }
            80..84 => Verdict::DeadLetter { reason: "it cannot be read".into() },
            _ => {
                held.push(delivery);
                continue;
            }
        };
        batch.push(Settlement { delivery, verdict });
    }
    let settling = |Settlement { delivery, verdict }: &Settlement| {
        (number, delivery.id().map(|id| id.to_string()), delivery.to_key(), verdict.clone())
    };
    let settling: Vec<Settling> = batch.iter().map(settling).collect();
    for (it, result) in settling.into_iter().zip(consumer.settler().settle(batch).await) {
        world.moves();
        world.beliefs.borrow_mut().settled(group, it, &result);
    }
    if dice.below(4) == 0 {
        let _ = consumer.settler().flush().await;
    }
}

async fn read_dead_letters(world: Rc<World>, reader: Group) {
    let subscription = Subscription::new(world.dead.clone(), reader);
    while !world.is_over() {
        let Ok(mut consumer) = world.recorded.consumer(subscription.clone()).await else { continue };
        loop {
            match timeout(Duration::from_secs(3), consumer.receive(10)).await {
                Ok(Ok(batch)) => {
                    let batch: Vec<_> = batch.into_iter().map(Settlement::ack).collect();
                    consumer.settler().settle(batch).await;
                }
                Ok(Err(_)) => break,
                Err(_) if world.is_over() => {
                    let _ = consumer.close().await;
                    return;
                }
                Err(_) => {}
            }
        }
    }
}
