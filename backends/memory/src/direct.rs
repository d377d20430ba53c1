//! At most once: a message goes to one member of each group that is there, and is forgotten. What a member cannot take in
//! time is dropped, and `receive` says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use anybroker_core::kit::{Incoming, Link, Session, SessionConsumer};
use anybroker_core::{Consumer, Delivery, Error, Group, Kind, Record, Result, Settler, async_trait};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::adversary::{Adversary, Deed};
use crate::dice::Dice;
use crate::setup::Setup;
use crate::store::TopicState;

/// What waits for a member that is slow; as many as NATS' client keeps.
const BUFFER: usize = 65_536;
/// What is taken over at once.
const CHUNK: usize = 256;

/// The members of each group that are there.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    groups: BTreeMap<Group, Vec<Listener>>,
    dice: Dice,
}

#[derive(Debug)]
struct Listener {
    id: u64,
    records: mpsc::Sender<Record>,
    dropped: watch::Sender<u64>,
    /// What an adversary lets come after the next one.
    late: Vec<Record>,
}

impl Listener {
    fn hand_over(&mut self, record: Record) {
        for record in std::iter::once(record).chain(self.late.drain(..)) {
            if let Err(TrySendError::Full(_)) = self.records.try_send(record) {
                self.dropped.send_modify(|dropped| *dropped += 1);
            }
        }
    }
}

impl Listeners {
    /// To a member of each group, chosen by chance.
    pub(crate) fn hand_out(&mut self, record: &Record, adversary: Option<&Adversary>) {
        for members in self.groups.values_mut().filter(|members| !members.is_empty()) {
            let chosen = self.dice.below(members.len() as u64) as usize;
            match adversary {
                Some(adversary) if adversary.does(Deed::MessageLost) => {}
                Some(adversary) if adversary.does(Deed::DeliveredLate) => {
                    members[chosen].late.push(record.clone());
                }
                _ => members[chosen].hand_over(record.clone()),
            }
        }
    }

    fn leave(&mut self, id: u64) {
        self.groups.values_mut().for_each(|members| members.retain(|member| member.id != id));
        self.groups.retain(|_, members| !members.is_empty());
    }
}

/// Joins the group.
pub(crate) fn open(
    id: u64,
    topic: &Arc<TopicState>,
    session: &Arc<Session>,
    setup: &Setup,
) -> Box<dyn Consumer> {
    let (records, arriving) = mpsc::channel(BUFFER);
    let (dropped, told) = watch::channel(0);
    let group = session.subscription().group.clone();
    let listener = Listener { id, records, dropped, late: Vec::new() };
    topic.lock().listeners.groups.entry(group).or_default().push(listener);
    // It ends with the session.
    tokio::spawn(listen(id, topic.clone(), session.clone(), setup.clone(), arriving));
    Box::new(DirectConsumer { inner: session.connect(Arc::new(NoLink)), dropped: told, told: 0 })
}

async fn listen(
    id: u64,
    topic: Arc<TopicState>,
    session: Arc<Session>,
    setup: Setup,
    arriving: mpsc::Receiver<Record>,
) {
    tokio::select! {
        biased;
        () = session.wait_until(|session| session.ended().map(|_| ())) => {}
        broken = fill(&session, &setup, arriving) => {
            if let Err(error) = broken {
                session.fail(error);
            }
        }
    }
    topic.lock().listeners.leave(id);
}

/// Fills the session, as far as it has room, until nobody sends any more or the connection breaks.
async fn fill(session: &Session, setup: &Setup, mut arriving: mpsc::Receiver<Record>) -> Result<()> {
    let generation = session.assign(0);
    let mut number = 0;
    loop {
        let room = session.wait_for_room().await.messages;
        let mut records = Vec::new();
        if arriving.recv_many(&mut records, room.min(CHUNK)).await == 0 {
            return Ok(());
        }
        if let Some(adversary) = &setup.adversary {
            adversary.connection()?;
        }
        let incoming = records.into_iter().map(|record| {
            number += 1;
            Incoming { record, native: number, offset: None, stored: 0, attempts: 0, redelivered: false }
        });
        session.push_all(0, generation, incoming);
    }
}

/// Nothing is acknowledged: the broker has forgotten what it handed out.
struct NoLink;

#[async_trait]
impl Link for NoLink {
    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A session's consumer that tells what was dropped.
#[derive(Debug)]
struct DirectConsumer {
    inner: SessionConsumer,
    dropped: watch::Receiver<u64>,
    /// How many of them have been told.
    told: u64,
}

#[async_trait]
impl Consumer for DirectConsumer {
    /// Fails once with `Throttled` when messages were dropped because the application was too slow, and goes on.
    async fn receive(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let told = self.told;
        let dropped = tokio::select! {
            biased;
            Ok(dropped) = self.dropped.wait_for(|dropped| *dropped > told) => *dropped,
            received = self.inner.receive(max) => return received,
        };
        self.told = dropped;
        let text =
            format!("{} messages were dropped: they came faster than they were received", dropped - told);
        Err(Error::new(Kind::Throttled, "receive", text)
            .advice("add members to the group, or choose a broker that stores"))
    }

    fn settler(&self) -> Arc<dyn Settler> {
        self.inner.settler()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Box::new(self.inner).close().await
    }
}
