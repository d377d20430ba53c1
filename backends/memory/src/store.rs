//! The broker's state: topics with their logs and groups, shared by every connection to one name.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use anybroker_core::kit::{Session, crc32};
use anybroker_core::{
    Error, Group, Kind, MessageId, Position, Receipt, Record, Result, Topic, Topology, TopologyMode,
    TransactionalId,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::direct::Listeners;
use crate::group::{Cursor, GroupState};
use crate::log::{Log, Stored};
use crate::setup::Setup;

static BROKERS: LazyLock<Mutex<HashMap<String, Weak<Store>>>> = LazyLock::new(Mutex::default);

#[derive(Debug, Default)]
pub(crate) struct Store {
    topics: Mutex<HashMap<Topic, Arc<TopicState>>>,
    /// How often each transactional id was taken; the last to take it holds it. Locked while a transaction is committed.
    pub(crate) holders: Mutex<HashMap<TransactionalId, u64>>,
}

impl Store {
    pub(crate) fn named(name: &str) -> Arc<Self> {
        let mut brokers = lock(&BROKERS);
        brokers.retain(|_, broker| broker.strong_count() > 0);
        if let Some(store) = brokers.get(name).and_then(Weak::upgrade) {
            return store;
        }
        let store = Arc::new(Store::default());
        brokers.insert(name.to_owned(), Arc::downgrade(&store));
        store
    }

    /// The topic as publishers and consumers find it: created, if the mode says so.
    pub(crate) fn open_topic(&self, topic: &Topic, setup: &Setup) -> Result<Arc<TopicState>> {
        match setup.config.topology {
            TopologyMode::Check | TopologyMode::Ignore if setup.semantics.stores => self.topic(topic),
            _ => self.declare(&Topology::new(topic.clone()), setup),
        }
    }

    pub(crate) fn topic(&self, topic: &Topic) -> Result<Arc<TopicState>> {
        lock(&self.topics).get(topic).cloned().ok_or_else(|| missing(topic))
    }

    pub(crate) fn declare(&self, topology: &Topology, setup: &Setup) -> Result<Arc<TopicState>> {
        if let Some(wanted) = topology.partitions.filter(|_| !setup.semantics.partitions) {
            let text = format!("{wanted} partitions are asked for, and this broker has none");
            return Err(
                Error::new(Kind::InvalidConfiguration, "declare", text).advice("leave the partitions out")
            );
        }
        let state = match lock(&self.topics).entry(topology.topic.clone()) {
            Entry::Occupied(existing) => existing.get().clone(),
            Entry::Vacant(vacant) => {
                let partitions = topology.partitions.unwrap_or(setup.config.partitions);
                vacant.insert(Arc::new(TopicState::new(topology.topic.clone(), partitions, setup))).clone()
            }
        };
        let mut inner = state.lock();
        let existing = inner.logs.len();
        if let Some(wanted) = topology.partitions.filter(|wanted| *wanted as usize != existing) {
            let text = format!("it has {existing} partitions, and {wanted} are declared");
            return Err(Error::new(Kind::InvalidConfiguration, "declare", text)
                .on(format!("topic `{}`", topology.topic))
                .advice("declare what is there, or delete the topic first"));
        }
        for group in topology.groups.iter().filter(|_| setup.semantics.stores) {
            inner.group(group, setup)?;
        }
        drop(inner);
        Ok(state)
    }

    pub(crate) fn delete(&self, topic: &Topic) -> Result<()> {
        let state = lock(&self.topics).remove(topic).ok_or_else(|| missing(topic))?;
        state.lock().deleted = true;
        state.regrouped.notify_waiters();
        Ok(())
    }

    pub(crate) fn topics(&self) -> Vec<Arc<TopicState>> {
        lock(&self.topics).values().cloned().collect()
    }
}

fn missing(topic: &Topic) -> Error {
    Error::new(Kind::NotFound, "open", "the topic does not exist")
        .on(format!("topic `{topic}`"))
        .advice("declare it first, or add topology=create to the URL")
}

/// When a batch was taken: the clocks are read once for all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    instant: Instant,
    /// Since 1970.
    millis: i64,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Moment { instant: Instant::now(), millis: since.map_or(0, |since| since.as_millis() as i64) }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
pub(crate) struct TopicState {
    pub(crate) topic: Topic,
    /// Wakes every member: a group has changed.
    pub(crate) regrouped: Notify,
    /// Wakes the members that fetch before they are asked.
    pub(crate) published: Notify,
    inner: Mutex<TopicInner>,
    /// That of the connection which created it.
    setup: Setup,
}

#[derive(Debug)]
pub(crate) struct TopicInner {
    pub(crate) logs: Vec<Log>,
    pub(crate) groups: BTreeMap<Group, GroupState>,
    /// Who is there, where nothing is stored.
    pub(crate) listeners: Listeners,
    /// The members whose sessions fetch when they are asked.
    asking: Arc<[(u64, Weak<Session>)]>,
    pub(crate) deleted: bool,
    /// Ids stored within the deduplication window, and the same in order of time.
    ids: HashMap<MessageId, Position>,
    ages: VecDeque<(Instant, MessageId)>,
    /// Where the next message without a key goes.
    turn: usize,
}

impl TopicState {
    fn new(topic: Topic, partitions: u32, setup: &Setup) -> Self {
        TopicState {
            topic,
            regrouped: Notify::new(),
            published: Notify::new(),
            inner: Mutex::new(TopicInner {
                logs: (0..partitions).map(|_| Log::default()).collect(),
                groups: BTreeMap::new(),
                listeners: Listeners::default(),
                asking: Arc::default(),
                deleted: false,
                ids: HashMap::new(),
                ages: VecDeque::new(),
                turn: 0,
            }),
            setup: setup.clone(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, TopicInner> {
        lock(&self.inner)
    }

    /// Wakes whoever waits for messages.
    pub(crate) fn announce(&self) {
        self.published.notify_waiters();
        let asking = self.lock().asking.clone();
        asking.iter().filter_map(|(_, session)| session.upgrade()).for_each(|session| session.announce());
    }

    /// Takes a message: stores it, or hands it to those who are there, where nothing is stored.
    pub(crate) fn take(
        &self,
        inner: &mut TopicInner,
        setup: &Setup,
        now: Moment,
        id: &MessageId,
        record: Record,
    ) -> Result<Receipt> {
        if !setup.semantics.stores {
            inner.listeners.hand_out(&record, setup.adversary.as_deref());
            return Ok(Receipt::default());
        }
        self.append(inner, now, id, record).map(|receipt| setup.semantics.receipt(receipt))
    }

    /// Stores a message, or says that it is there already.
    pub(crate) fn append(
        &self,
        inner: &mut TopicInner,
        now: Moment,
        id: &MessageId,
        record: Record,
    ) -> Result<Receipt> {
        if inner.deleted {
            return Err(missing(&self.topic));
        }
        if self.setup.semantics.refuses_unsubscribed && inner.groups.is_empty() {
            return Err(Error::new(Kind::NotFound, "publish", "no group is there to get it")
                .on(format!("topic `{}`", self.topic))
                .advice("declare the groups before publishing"));
        }
        if let Some(window) = self.setup.semantics.deduplication {
            while let Some((_, old)) = inner.ages.pop_front_if(|(stored, _)| now.instant - *stored >= window)
            {
                inner.ids.remove(&old);
            }
            if let Some(position) = inner.ids.get(id) {
                return Ok(Receipt { position: Some(*position), duplicate: true });
            }
        }
        let partition = inner.partition_of(record.key());
        let retention = self.setup.config.retention;
        inner.make_room(partition, retention).map_err(|e| e.on(format!("topic `{}`", self.topic)))?;
        let offset = inner.logs[partition].append(Stored { record, time: now.millis });
        let position = Position { partition: partition as u32, offset };
        if self.setup.semantics.deduplication.is_some() {
            inner.ids.insert(id.clone(), position);
            inner.ages.push_back((now.instant, id.clone()));
        }
        Ok(Receipt { position: Some(position), duplicate: false })
    }
}

impl TopicInner {
    /// A session fetches when it is asked, and is told when something was published.
    pub(crate) fn add_asking(&mut self, id: u64, session: &Arc<Session>) {
        let others = self.asking.iter().cloned();
        self.asking = others.chain([(id, Arc::downgrade(session))]).collect();
    }

    pub(crate) fn remove_asking(&mut self, id: u64) {
        self.asking = self.asking.iter().filter(|(other, _)| *other != id).cloned().collect();
    }

    /// Takes the last append back, before anybody else has seen it.
    pub(crate) fn undo(&mut self, id: &MessageId, receipt: Receipt) {
        let Some(position) = receipt.position.filter(|_| !receipt.duplicate) else { return };
        self.logs[position.partition as usize].undo();
        if self.ids.remove(id).is_some() {
            self.ages.pop_back();
        }
    }

    /// Creates the group if it is new; it gets everything from now on, and where the topic keeps messages for groups to
    /// come, those too.
    pub(crate) fn group(&mut self, group: &Group, setup: &Setup) -> Result<()> {
        if self.groups.contains_key(group) {
            return Ok(());
        }
        if let Some(other) = self.groups.keys().next().filter(|_| setup.semantics.one_group) {
            let text = format!("the topic's one queue is group `{other}`'s, and `{group}` is asked for");
            return Err(Error::new(Kind::InvalidConfiguration, "declare", text)
                .advice(format!("use group `{other}`, or a topic for each")));
        }
        let begin = |log: &Log| if setup.semantics.refuses_unsubscribed { log.end() } else { log.start() };
        let cursors = self.logs.iter().map(|log| Cursor::at(begin(log))).collect();
        self.groups.insert(group.clone(), GroupState { cursors, members: Vec::new() });
        Ok(())
    }

    fn partition_of(&mut self, key: Option<&[u8]>) -> usize {
        let Some(key) = key else {
            self.turn = (self.turn + 1) % self.logs.len();
            return self.turn;
        };
        crc32(key) as usize % self.logs.len()
    }

    /// Lets the oldest messages go that every group has acknowledged; refuses where there are none.
    fn make_room(&mut self, partition: usize, retention: usize) -> Result<()> {
        if self.logs[partition].len() < retention {
            return Ok(());
        }
        let start = self.logs[partition].start();
        let acknowledged =
            self.groups.values().map(|g| g.cursors[partition].done_below).min().unwrap_or(start);
        if acknowledged == start {
            let text =
                format!("the partition keeps {retention} messages that some group has not acknowledged");
            return Err(Error::new(Kind::Throttled, "publish", text)
                .advice("consume them, or raise retention= in the URL"));
        }
        // A tenth at a time, so that a full partition is not trimmed for every message.
        let upto = acknowledged.min(start + (retention as u64).div_ceil(10));
        self.logs[partition].trim(upto);
        self.groups.values_mut().for_each(|group| group.cursors[partition].trimmed(upto));
        Ok(())
    }

    /// Drops all messages.
    pub(crate) fn purge(&mut self) {
        for (partition, log) in self.logs.iter_mut().enumerate() {
            let end = log.end();
            log.trim(end);
            self.groups.values_mut().for_each(|group| group.cursors[partition].trimmed(end));
        }
    }
}
