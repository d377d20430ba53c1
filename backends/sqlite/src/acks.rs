//! Acknowledging in the tables: confirmed when the transaction is committed, refused where the partition has another owner.

use anybroker_core::{Error, Kind, Result, Settled};
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::oneshot;

use crate::error::{Failed, sql};
use crate::writer::{Transaction, Work};

/// One acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct One {
    /// Its place among those that were asked for together.
    pub(crate) at: usize,
    pub(crate) partition: i64,
    /// The ownership under which the message was received.
    pub(crate) epoch: i64,
    pub(crate) offset: u64,
}

/// Acknowledgements of one member.
pub(crate) struct Acks {
    group: i64,
    member: i64,
    /// By partition and offset.
    acks: Vec<One>,
    /// By their places.
    fenced: Vec<usize>,
    reply: oneshot::Sender<Vec<(usize, Result<Settled>)>>,
}

impl Acks {
    pub(crate) fn new(
        group: i64,
        member: i64,
        mut acks: Vec<One>,
        reply: oneshot::Sender<Vec<(usize, Result<Settled>)>>,
    ) -> Self {
        acks.sort_unstable_by_key(|ack| (ack.partition, ack.epoch, ack.offset));
        Acks { group, member, acks, fenced: Vec::new(), reply }
    }

    /// Acknowledges offsets, which rise, in one partition.
    fn acknowledge(&self, connection: &Connection, run: &[One]) -> rusqlite::Result<bool> {
        let Some(One { partition, epoch, .. }) = run.first().copied() else { return Ok(true) };
        let owned =
            "SELECT done_below FROM cursors WHERE partition = ?1 AND grp = ?2 AND owner = ?3 AND epoch = ?4";
        let done_below: Option<i64> = connection
            .prepare_cached(owned)?
            .query_row(params![partition, self.group, self.member, epoch], |row| row.get(0))
            .optional()?;
        let Some(before) = done_below.map(|offset| offset as u64) else { return Ok(false) };
        let mut below = before;
        for ack in run.iter().filter(|ack| ack.offset >= before) {
            if ack.offset == below {
                below += 1;
            } else {
                connection
                    .prepare_cached(
                        "INSERT OR IGNORE INTO done (partition, grp, position) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![partition, self.group, ack.offset as i64])?;
            }
        }
        if below > before {
            self.advance(connection, partition, below)?;
        }
        Ok(true)
    }

    /// Everything before `below` is acknowledged, and what was acknowledged after it may follow.
    fn advance(&self, connection: &Connection, partition: i64, mut below: u64) -> rusqlite::Result<()> {
        let mut take = connection
            .prepare_cached("DELETE FROM done WHERE partition = ?1 AND grp = ?2 AND position = ?3")?;
        while take.execute(params![partition, self.group, below as i64])? > 0 {
            below += 1;
        }
        connection
            .prepare_cached("UPDATE cursors SET done_below = ?3 WHERE partition = ?1 AND grp = ?2")?
            .execute(params![partition, self.group, below as i64])?;
        connection
            .prepare_cached("DELETE FROM attempts WHERE partition = ?1 AND grp = ?2 AND position < ?3")?
            .execute(params![partition, self.group, below as i64])?;
        Ok(())
    }
}

impl Work for Acks {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<()> {
        let mut fenced = Vec::new();
        for run in self.acks.chunk_by(|a, b| (a.partition, a.epoch) == (b.partition, b.epoch)) {
            if !self.acknowledge(transaction.sql, run).map_err(sql("settle"))? {
                fenced.extend(run.iter().map(|ack| ack.at));
            }
        }
        self.fenced = fenced;
        Ok(())
    }

    fn end(self: Box<Self>, ended: Result<(), &Failed>) {
        let result = |at: &usize| match ended {
            Ok(()) if self.fenced.contains(at) => Err(self::fenced()),
            Ok(()) => Ok(Settled::Confirmed),
            Err(failed) => Err(failed.error("settle")),
        };
        let results = self.acks.iter().map(|ack| (ack.at, result(&ack.at))).collect();
        // Whoever asked may have gone.
        let _ = self.reply.send(results);
    }

    fn weight(&self) -> usize {
        self.acks.len()
    }
}

pub(crate) fn fenced() -> Error {
    Error::new(Kind::Fenced, "settle", "the partition belongs to another member now")
}
