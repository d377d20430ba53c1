//! Transactions: what is published waits here until the commit, which stores all of it, and acknowledges the inputs, under
//! the locks of all their topics. So nobody sees a part, and an aborted one leaves no trace.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anybroker_core::kit::{Head, Inputs, Link, Part};
use anybroker_core::{
    Delivery, Error, Fate, Kind, Message, MessageId, Receipt, Record, RecordBuffer, Result, Topic,
    Transaction, TransactionOptions, TransactionalId, TransactionalPublisher, async_trait,
};
use tokio::time::Instant;

use crate::adversary::Adversary;
use crate::adversary::transacting::{self, CommitFault};
use crate::member::Member;
use crate::setup::Setup;
use crate::store::{Moment, Store, TopicInner, TopicState, lock};

/// Who holds a transactional id, until somebody else takes it.
#[derive(Debug)]
pub(crate) struct Holder {
    id: TransactionalId,
    /// Which holder of the id it is.
    epoch: u64,
    timeout: Duration,
    store: Arc<Store>,
    setup: Setup,
    closed: Arc<AtomicBool>,
    /// Nobody told whether the last transaction was committed.
    in_doubt: AtomicBool,
}

impl Holder {
    /// Takes the id: what its holder before had not committed is aborted.
    pub(crate) fn take(
        options: TransactionOptions,
        store: Arc<Store>,
        setup: Setup,
        closed: Arc<AtomicBool>,
    ) -> Self {
        let mut holders = lock(&store.holders);
        let epoch = holders.entry(options.id.clone()).or_default();
        *epoch += 1;
        let epoch = *epoch;
        drop(holders);
        let in_doubt = AtomicBool::new(false);
        Holder { id: options.id, epoch, timeout: options.timeout, store, setup, closed, in_doubt }
    }

    fn check(&self, operation: &'static str, current: Option<u64>) -> Result<()> {
        let fail =
            |kind, text| Err(Error::new(kind, operation, text).on(format!("transactional id `{}`", self.id)));
        if self.closed.load(Ordering::Acquire) {
            return fail(Kind::Closed, "the broker handle is closed");
        }
        if current != Some(self.epoch) {
            return fail(Kind::Fenced, "somebody else has taken the id since");
        }
        Ok(())
    }

    fn check_now(&self, operation: &'static str) -> Result<()> {
        let current = lock(&self.store.holders).get(&self.id).copied();
        self.check(operation, current)
    }
}

#[async_trait]
impl TransactionalPublisher for Holder {
    async fn begin(&mut self) -> Result<Box<dyn Transaction + '_>> {
        self.check_now("begin")?;
        if self.in_doubt.load(Ordering::Acquire) {
            return Err(transacting::unanswered("begin"));
        }
        let deadline = Instant::now() + self.timeout;
        Ok(Box::new(MemoryTransaction { holder: self, deadline, open: Mutex::default() }))
    }

    fn id(&self) -> &TransactionalId {
        &self.id
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryTransaction<'a> {
    holder: &'a Holder,
    deadline: Instant,
    open: Mutex<Open>,
}

/// What a transaction has so far.
#[derive(Debug, Default)]
struct Open {
    writes: Vec<Write>,
    inputs: Inputs,
    buffer: RecordBuffer,
    doomed: Option<Error>,
}

#[derive(Debug)]
struct Write {
    topic: Arc<TopicState>,
    id: MessageId,
    record: Record,
}

impl MemoryTransaction<'_> {
    fn check_time(&self, operation: &'static str) -> Result<()> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        let text = format!("it was not committed within {:?}, and was aborted", self.holder.timeout);
        Err(Error::new(Kind::TimedOut, operation, text).with_fate(Fate::NotApplied))
    }

    /// Does a part of the transaction; a failure dooms all of it.
    fn part(&self, operation: &'static str, work: impl FnOnce(&mut Open) -> Result<()>) -> Result<()> {
        let mut open = lock(&self.open);
        if let Some(error) = &open.doomed {
            return Err(error.duplicate());
        }
        let done = self.holder.check_now(operation).and_then(|()| self.check_time(operation));
        let done = done.and_then(|()| work(&mut open));
        if let Err(error) = &done {
            *open = Open { doomed: Some(error.duplicate()), ..Open::default() };
        }
        done
    }
}

#[async_trait]
impl Transaction for MemoryTransaction<'_> {
    async fn publish(&self, topic: &Topic, batch: Vec<Message>) -> Result<()> {
        let setup = &self.holder.setup;
        self.part("publish", |open| {
            let topic = self.holder.store.open_topic(topic, setup)?;
            for message in &batch {
                message.validate()?;
                if message.size() > setup.semantics.message_bytes {
                    let text = format!(
                        "{} bytes; the broker takes {}",
                        message.size(),
                        setup.semantics.message_bytes
                    );
                    return Err(Error::new(Kind::TooLarge, "publish", text));
                }
                let record = open.buffer.encode(message);
                open.writes.push(Write { topic: topic.clone(), id: message.id.clone(), record });
            }
            Ok(())
        })
    }

    async fn settle(&self, batch: Vec<Delivery>) -> Result<()> {
        let ours = |link: &dyn Link| {
            let member = (link as &dyn Any).downcast_ref::<Member>();
            member.is_some_and(|member| member.setup.is(&self.holder.setup))
        };
        self.part("settle", |open| open.inputs.take(batch, ours))
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.part("commit", |_| Ok(()))?;
        let mut open = std::mem::take(&mut *lock(&self.open));
        let adversary = self.holder.setup.adversary.as_deref();
        let fault = adversary.and_then(Adversary::commit_fault);
        if matches!(fault, Some(CommitFault::Refused)) {
            return Err(transacting::refused());
        }
        if !matches!(fault, Some(CommitFault::Lost)) {
            let changed = open.commit(self.holder)?;
            changed.iter().for_each(|topic| topic.announce());
        }
        if fault.is_some() {
            self.holder.in_doubt.store(true, Ordering::Release);
            return Err(open.doubt());
        }
        open.inputs.committed();
        Ok(())
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Open {
    /// Nobody is told what became of it: its consumers end, and their groups go on where the broker is.
    fn doubt(self) -> Error {
        self.inputs.parts().iter().filter_map(|part| member(part).ok()).for_each(|member| member.end());
        self.inputs.unknown(&transacting::unanswered("receive"));
        transacting::unanswered("commit")
    }

    /// Stores and acknowledges everything, or nothing; says which topics have changed.
    fn commit(&mut self, holder: &Holder) -> Result<Vec<Arc<TopicState>>> {
        // Held to the end: nobody takes the id meanwhile, and no two commits wait for each other's topics.
        let holders = lock(&holder.store.holders);
        holder.check("commit", holders.get(&holder.id).copied())?;
        let inputs = self.inputs.parts().iter().map(|part| Ok((part, member(part)?)));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let mut topics: Vec<Arc<TopicState>> = Vec::new();
        let all = inputs.iter().map(|(_, member)| &member.topic).chain(self.writes.iter().map(|w| &w.topic));
        for topic in all {
            if !topics.iter().any(|known| Arc::ptr_eq(known, topic)) {
                topics.push(topic.clone());
            }
        }
        let mut locked = Locked(topics.iter().map(|topic| (topic, topic.lock())).collect());
        for (part, member) in &inputs {
            check_inputs(part, member, locked.of(&member.topic))?;
        }
        store(&mut self.writes, &mut locked)?;
        for (part, member) in &inputs {
            acknowledge(part, member, locked.of(&member.topic));
        }
        drop(locked);
        Ok(topics)
    }
}

/// The topics of a transaction.
struct Locked<'a>(Vec<(&'a Arc<TopicState>, MutexGuard<'a, TopicInner>)>);

impl Locked<'_> {
    fn of(&mut self, topic: &Arc<TopicState>) -> Option<&mut TopicInner> {
        let found = self.0.iter_mut().find(|(known, _)| Arc::ptr_eq(known, topic));
        found.map(|(_, inner)| &mut **inner)
    }
}

fn member(part: &Part) -> Result<Arc<Member>> {
    let link: Option<Arc<dyn Any + Send + Sync>> =
        part.session().and_then(|session| session.link()).map(|link| link as _);
    link.and_then(|link| link.downcast().ok())
        .ok_or_else(|| Error::new(Kind::Closed, "commit", "the consumer of a settled delivery has ended"))
}

fn check_inputs(part: &Part, member: &Member, inner: Option<&mut TopicInner>) -> Result<()> {
    let group = inner.and_then(|inner| inner.groups.get(&member.session.subscription().group));
    let owned = group.is_some_and(|group| {
        part.partitions().keys().all(|partition| group.cursors[*partition as usize].owner == Some(member.id))
    });
    if !owned || !part.is_ours() {
        let text = "the partition of a settled delivery belongs to another member now";
        return Err(Error::new(Kind::Fenced, "commit", text));
    }
    let gap = |partition: &u32| part.head(*partition) == Some(Head::Gap);
    if !member.setup.semantics.acks_singly && part.partitions().keys().any(gap) {
        let text = "a settled delivery comes after one of its partition that is not settled";
        return Err(Error::new(Kind::Superseded, "commit", text)
            .advice("settle the earlier ones in the same transaction, or before"));
    }
    Ok(())
}

fn acknowledge(part: &Part, member: &Member, inner: Option<&mut TopicInner>) {
    let group = inner.and_then(|inner| inner.groups.get_mut(&member.session.subscription().group));
    let Some(group) = group else { return };
    for (partition, natives) in part.partitions() {
        natives.iter().for_each(|native| group.cursors[partition as usize].acknowledge(*native));
    }
}

/// Stores all messages, or takes those back that were stored already.
fn store(writes: &mut Vec<Write>, locked: &mut Locked<'_>) -> Result<()> {
    let mut stored: Vec<(Arc<TopicState>, MessageId, Receipt)> = Vec::new();
    let now = Moment::now();
    for Write { topic, id, record } in writes.drain(..) {
        let Some(inner) = locked.of(&topic) else { continue };
        match topic.append(inner, now, &id, record) {
            Ok(receipt) => stored.push((topic, id, receipt)),
            Err(error) => {
                for (topic, id, receipt) in stored.into_iter().rev() {
                    if let Some(inner) = locked.of(&topic) {
                        inner.undo(&id, receipt);
                    }
                }
                return Err(error);
            }
        }
    }
    Ok(())
}
