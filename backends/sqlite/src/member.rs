//! One member of a group: takes its partitions, hands over what others ought to have, and fills its session.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::kit::{Ack, Link, Session, Supervision};
use anybroker_core::{Error, Kind, Result, Settled, async_trait};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use crate::acks::{Acks, One, fenced};
use crate::handed::{Entry, Handed};
use crate::live::Presence;
use crate::look::{self, Found, View, Want};
use crate::membership::{self, LetGo, MemberRow, Taken};
use crate::store::{Store, lock};
use crate::topics::TopicState;

/// How often a member looks although nobody woke it: a process may die between its commit and waking others.
const TICK: Duration = Duration::from_secs(1);
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(15);

/// A member as its consumer reaches it. It knows nothing of the session, which owns it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) store: Arc<Store>,
    pub(crate) group: i64,
    pub(crate) id: i64,
    pub(crate) handed: Arc<Handed>,
    /// The partitions' ids and epochs of ownership, by their numbers.
    pub(crate) owned: Mutex<HashMap<u32, (i64, i64)>>,
    pub(crate) leaving: Leaving,
}

/// The task that keeps a member going.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) member: Arc<Member>,
    pub(crate) topic: Arc<TopicState>,
    pub(crate) session: Arc<Session>,
    /// Locked for as long as this task lives.
    pub(crate) presence: Presence,
}

/// How `close` asks the task to leave, and hears that it has.
#[derive(Debug)]
pub(crate) struct Leaving {
    asked: AtomicBool,
    ask: Notify,
    left: watch::Sender<Option<Option<Arc<Error>>>>,
}

impl Default for Leaving {
    fn default() -> Self {
        Leaving { asked: AtomicBool::new(false), ask: Notify::new(), left: watch::Sender::new(None) }
    }
}

/// What the task knows of the partitions that it serves.
#[derive(Debug, Default)]
struct Serving {
    partitions: BTreeMap<u32, Partition>,
    /// Let go in the session, and not yet in the file.
    letting_go: Vec<LetGo>,
    /// Where the next round begins.
    turn: usize,
    /// Messages are waiting for room in the session.
    more: bool,
    /// When the other members were last seen to live, and how many deaths there had been.
    checked: Option<(Instant, u64)>,
}

#[derive(Debug)]
struct Partition {
    /// The session's.
    generation: u32,
    id: i64,
    taken: Taken,
    /// Until when it may drain, if it is handed over.
    draining: Option<Instant>,
}

impl Serving {
    fn deadline(&self) -> Option<Instant> {
        self.partitions.values().filter_map(|partition| partition.draining).min()
    }

    fn is_draining(&self) -> bool {
        self.partitions.values().any(|partition| partition.draining.is_some())
    }
}

impl Task {
    /// Fills the session until it ends; then leaves the group.
    pub(crate) async fn run(self) {
        let mut serving = Serving::default();
        let mut waits = Supervision::new();
        loop {
            let mut changed = std::pin::pin!(self.topic.changed.notified());
            changed.as_mut().enable();
            if self.is_ending() {
                break;
            }
            let pause = match self.step(&mut serving).await {
                Ok(true) => continue,
                Ok(false) => {
                    waits.succeeded();
                    TICK
                }
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "a member of a group could not go on; it tries again");
                    waits.next_wait()
                }
                Err(error) => {
                    self.session.fail(error);
                    break;
                }
            };
            let until = Instant::now() + pause;
            let until = serving.deadline().map_or(until, |deadline| deadline.min(until));
            tokio::select! {
                () = changed => {}
                () = self.settled(&serving) => {}
                () = self.member.leaving.ask.notified() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
        let left = self.leave(serving).await;
        if let Err(error) = &left {
            tracing::warn!(%error, "a member could not leave its group; the others find it dead");
        }
        self.member.leaving.left.send_replace(Some(left.err().map(Arc::new)));
    }

    fn is_ending(&self) -> bool {
        self.session.ended().is_some() || self.member.leaving.asked.load(Ordering::Acquire)
    }

    /// Waits for a settlement that matters.
    async fn settled(&self, serving: &Serving) {
        loop {
            self.session.settlement().await;
            let room = serving.more && self.session.room().messages > 0;
            if room || serving.is_draining() || self.session.ended().is_some() {
                return;
            }
        }
    }

    /// One look at the group and what follows from it; says whether to look again at once.
    async fn step(&self, serving: &mut Serving) -> Result<bool> {
        let (topic, group) = (self.topic.id, self.member.group);
        let view =
            self.member.store.read("receive", move |connection| look::view(connection, topic, group)).await?;
        let view = view.ok_or_else(|| Error::new(Kind::NotFound, "receive", "the topic was deleted"))?;
        if !view.members.iter().any(|member| member.id == self.member.id) {
            let text = "this member counts as dead: somebody took its file away";
            return Err(Error::new(Kind::Fenced, "receive", text).advice("open the consumer again"));
        }
        if self.strike_off_the_dead(&view, serving).await? {
            return Ok(true);
        }
        self.hand_over(&view, serving).await?;
        self.take_over(&view, serving).await?;
        self.fill(serving).await
    }

    /// Looks, when somebody may have died and once a second, whether the other members live; says whether some did not.
    async fn strike_off_the_dead(&self, view: &View, serving: &mut Serving) -> Result<bool> {
        let (now, deaths) = (Instant::now(), self.member.store.wakes.deaths());
        if serving.checked.is_some_and(|(at, known)| known == deaths && now - at < TICK) {
            return Ok(false);
        }
        serving.checked = Some((now, deaths));
        let others = view.members.iter().filter(|member| member.id != self.member.id).cloned().collect();
        strike_off_the_dead(&self.member.store, self.topic.id, self.member.group, others).await
    }

    /// Drains the partitions that another member ought to own, and lets go of the drained ones.
    async fn hand_over(&self, view: &View, serving: &mut Serving) -> Result<()> {
        let now = Instant::now();
        let Serving { partitions, letting_go, .. } = serving;
        partitions.retain(|number, partition| {
            if view.target(*number as usize) == Some(self.member.id) {
                // A partition that was to be handed over, and whose taker has left, stays.
                if partition.draining.take().is_some() {
                    self.session.undrain(*number);
                }
                return true;
            }
            let deadline = *partition.draining.get_or_insert(now + self.session.subscription().drain);
            self.session.drain(*number);
            let stays = !self.session.is_drained(*number) && now < deadline;
            if !stays {
                letting_go.push(self.revoke(*number, partition));
            }
            stays
        });
        self.let_go(serving).await
    }

    /// Takes a partition out of the session.
    fn revoke(&self, number: u32, partition: &Partition) -> LetGo {
        lock(&self.member.owned).remove(&number);
        let returned = self.session.revoke(number);
        LetGo { partition: partition.id, epoch: partition.taken.epoch, returned }
    }

    async fn let_go(&self, serving: &mut Serving) -> Result<()> {
        if serving.letting_go.is_empty() {
            return Ok(());
        }
        let (ids, topic, gone) =
            ((self.member.group, self.member.id), self.topic.id, serving.letting_go.clone());
        self.member
            .store
            .write("let go", move |transaction| {
                membership::let_go(transaction.sql, ids, &gone)?;
                transaction.changed.push(topic);
                Ok(())
            })
            .await?;
        serving.letting_go.clear();
        Ok(())
    }

    /// Takes the partitions that are this member's and that nobody owns.
    async fn take_over(&self, view: &View, serving: &mut Serving) -> Result<()> {
        let free = view.cursors.iter().enumerate().filter(|(number, cursor)| {
            cursor.owner.is_none() && view.target(*number) == Some(self.member.id)
        });
        let free: Vec<_> = free.map(|(_, cursor)| cursor.partition).collect();
        if free.is_empty() {
            return Ok(());
        }
        let ids = (self.member.group, self.member.id);
        let taken = self
            .member
            .store
            .write("take over", move |transaction| membership::take(transaction.sql, ids, &free))
            .await?;
        for (id, taken) in taken {
            let Some(number) = self.topic.partitions.iter().position(|partition| *partition == id) else {
                continue;
            };
            let number = number as u32;
            lock(&self.member.owned).insert(number, (id, taken.epoch));
            let generation = self.session.assign(number);
            serving.partitions.insert(number, Partition { generation, id, taken, draining: None });
        }
        Ok(())
    }

    /// Fills the session to its bound. Each partition gets its part of the room at a time, so that none starves behind a
    /// busy one; what some leave, the others get. Says whether to go on at once.
    async fn fill(&self, serving: &mut Serving) -> Result<bool> {
        let room = self.session.room().messages;
        if room == 0 || serving.partitions.is_empty() {
            // What waits is found when there is room again.
            serving.more = !serving.partitions.is_empty();
            return Ok(false);
        }
        let (topic, wants) = (self.topic.id, serving.wants(room));
        let found = self
            .member
            .store
            .read("receive", move |connection| look::messages(connection, topic, wants, room))
            .await?;
        serving.more = found.iter().any(|found| found.more);
        for found in found {
            self.push(serving, found);
        }
        Ok(serving.more && self.session.room().messages > 0)
    }

    fn push(&self, serving: &mut Serving, found: Found) {
        let Some(partition) = serving.partitions.get_mut(&found.number) else { return };
        partition.taken.next = found.next;
        partition.taken.done = partition.taken.done.split_off(&found.next);
        partition.taken.attempts.retain(|offset, _| *offset >= found.next);
        self.session.push_all(found.number, partition.generation, found.messages);
    }

    /// Leaves the group: everything unsettled goes back, in order.
    async fn leave(&self, mut serving: Serving) -> Result<()> {
        for (number, partition) in &serving.partitions {
            serving.letting_go.push(self.revoke(*number, partition));
        }
        let (ids, topic, gone) = ((self.member.group, self.member.id), self.topic.id, serving.letting_go);
        self.member
            .store
            .write("leave", move |transaction| membership::leave(transaction, topic, ids, &gone))
            .await?;
        self.presence.remove();
        self.member.handed.remove();
        Ok(())
    }
}

impl Member {
    /// Notes what is about to be handed out.
    pub(crate) async fn hand_out(&self, deliveries: &[anybroker_core::Delivery]) -> Result<()> {
        let entries: Vec<_> = {
            let owned = lock(&self.owned);
            let entry = |delivery: &anybroker_core::Delivery| {
                let position = delivery.position()?;
                let (partition, epoch) = *owned.get(&position.partition)?;
                Some(Entry { partition, epoch, offset: position.offset, attempt: delivery.attempt() })
            };
            deliveries.iter().filter_map(entry).collect()
        };
        let (handed, group) = (self.handed.clone(), self.group);
        let failed = |error: std::io::Error| {
            Error::new(Kind::Unexpected, "receive", "what is handed out cannot be noted").with_source(error)
        };
        self.store
            .read("receive", move |connection| handed.note(connection, group, &entries).map_err(failed))
            .await
    }
}

impl Serving {
    /// What is wanted of each partition that is not handed over, beginning with another one each time.
    fn wants(&mut self, room: usize) -> Vec<Want> {
        let part = room.div_ceil(self.partitions.len().max(1));
        let served = self.partitions.iter().filter(|(_, partition)| partition.draining.is_none());
        let mut wants: Vec<_> = served
            .map(|(number, partition)| Want {
                number: *number,
                partition: partition.id,
                next: partition.taken.next,
                messages: part,
                done: partition.taken.done.clone(),
                attempts: partition.taken.attempts.clone(),
            })
            .collect();
        self.turn += 1;
        let begin = self.turn % wants.len().max(1);
        wants.rotate_left(begin);
        wants
    }
}

/// Strikes off the members that have died; says whether there were any.
pub(crate) async fn strike_off_the_dead(
    store: &Arc<Store>,
    topic: i64,
    group: i64,
    members: Vec<MemberRow>,
) -> Result<bool> {
    let live = store.live.clone();
    let failed = |error: std::io::Error| {
        Error::new(Kind::Unexpected, "receive", "the members' files cannot be looked at").with_source(error)
    };
    let find = move |_: &rusqlite::Connection| -> Result<Vec<_>> {
        let mut dead = Vec::new();
        for member in members {
            if let Some(corpse) = live.dead(&member.name).map_err(failed)? {
                let handed = crate::handed::read(&corpse.handed).map_err(failed)?;
                dead.push((member, corpse, handed));
            }
        }
        Ok(dead)
    };
    let dead = store.read("receive", find).await?;
    let any = !dead.is_empty();
    for (member, corpse, handed) in dead {
        tracing::info!(member = member.name, "a member of the group has died; its partitions are shared out");
        store
            .write("strike off", move |transaction| {
                membership::strike_off(transaction, topic, (group, member.id), &handed)
            })
            .await?;
        // On the thread for it, as it touches files.
        let bury = move |_: &rusqlite::Connection| {
            corpse.bury();
            Ok(())
        };
        store.read("strike off", bury).await?;
    }
    Ok(any)
}

#[async_trait]
impl Link for Member {
    fn confirms(&self) -> bool {
        true
    }

    async fn acknowledge(&self, acks: &[Ack]) -> Vec<Result<Settled>> {
        let mut results: Vec<_> = acks.iter().map(|_| Err(fenced())).collect();
        let asked: Vec<_> = {
            let owned = lock(&self.owned);
            let asked = acks.iter().enumerate().filter_map(|(at, ack)| {
                let (partition, epoch) = *owned.get(&ack.partition)?;
                Some(One { at, partition, epoch, offset: ack.native })
            });
            asked.collect()
        };
        if asked.is_empty() {
            return results;
        }
        let (reply, answers) = oneshot::channel();
        self.store.submit(Box::new(Acks::new(self.group, self.id, asked, reply)));
        match answers.await {
            Ok(answers) => answers.into_iter().for_each(|(at, answer)| results[at] = answer),
            Err(_) => results.iter_mut().for_each(|result| *result = Err(crate::error::ended("settle"))),
        }
        results
    }

    async fn flush(&self) -> Result<()> {
        // Every acknowledgement is confirmed before its call returns.
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.leaving.asked.store(true, Ordering::Release);
        self.leaving.ask.notify_one();
        let mut left = self.leaving.left.subscribe();
        let ended = tokio::time::timeout(LEAVE, left.wait_for(Option::is_some)).await;
        match ended.map(|left| left.ok().and_then(|left| left.clone().flatten())) {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error.duplicate()),
            Err(_) => {
                Err(Error::new(Kind::TimedOut, "close", format!("the group was not left within {LEAVE:?}")))
            }
        }
    }
}
