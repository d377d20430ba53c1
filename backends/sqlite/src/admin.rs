//! Topics and groups.

use std::time::{Duration, Instant};

use anybroker_core::{
    Admin, Diagnosis, Error, Group, GroupInfo, Kind, PartitionLag, Result, Topic, TopicInfo, Topology,
    async_trait,
};
use rusqlite::{Connection, params};

use crate::error::sql;
use crate::live::Live;
use crate::topics::{self, missing};
use crate::{Sqlite, diagnose, membership};

#[async_trait]
impl Admin for Sqlite {
    async fn declare(&self, topology: &Topology) -> Result<()> {
        self.store.declare(topology, &self.config).await.map(|_| ())
    }

    async fn delete(&self, topic: &Topic) -> Result<()> {
        self.store.delete(topic).await
    }

    async fn purge(&self, topic: &Topic) -> Result<()> {
        self.store.purge(topic).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.store.read("topics", topics::list).await
    }

    async fn backlog(&self, topic: &Topic, group: &Group) -> Result<u64> {
        let (topic, group) = (topic.clone(), group.clone());
        let count = move |connection: &Connection| {
            let (id, _) = topics::find(connection, &topic)?.ok_or_else(|| missing(&topic))?;
            let found = topics::find_group(connection, id, &group)?;
            let group = found.ok_or_else(|| {
                Error::new(Kind::NotFound, "backlog", "there is no such group").on(format!("group `{group}`"))
            })?;
            Ok(lags(connection, id, group)?.iter().map(|lag| lag.backlog).sum())
        };
        self.store.read("backlog", count).await
    }

    async fn groups(&self, topic: &Topic) -> Result<Vec<GroupInfo>> {
        let (topic, live) = (topic.clone(), self.store.live.clone());
        self.store.read("groups", move |connection| groups(connection, &live, &topic)).await
    }

    async fn diagnose(&self, topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
        diagnose::all(self, topic).await
    }

    async fn health(&self) -> Result<Duration> {
        let began = Instant::now();
        self.store
            .read("health", |connection| {
                connection.query_row("SELECT count(*) FROM topics", [], |_| Ok(())).map_err(sql("health"))
            })
            .await?;
        Ok(began.elapsed())
    }
}

fn groups(connection: &Connection, live: &Live, topic: &Topic) -> Result<Vec<GroupInfo>> {
    let (id, _) = topics::find(connection, topic)?.ok_or_else(|| missing(topic))?;
    let read = || -> rusqlite::Result<Vec<(i64, String)>> {
        let mut statement =
            connection.prepare_cached("SELECT id, name FROM groups WHERE topic = ?1 ORDER BY name")?;
        let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let found = read().map_err(sql("groups"))?;
    let info = |(group, name)| {
        let members = Some(living(connection, live, group)?);
        let partitions = lags(connection, id, group)?;
        Ok(GroupInfo { group: name, members, partitions })
    };
    found.into_iter().map(info).collect()
}

/// How many members a group has: those that have died are struck off only by the next one that joins.
fn living(connection: &Connection, live: &Live, group: i64) -> Result<u32> {
    let failed = |error| {
        Error::new(Kind::Unexpected, "groups", "the members' files cannot be looked at").with_source(error)
    };
    let mut count = 0;
    for member in membership::members(connection, group)? {
        count += u32::from(live.dead(&member.name).map_err(failed)?.is_none());
    }
    Ok(count)
}

/// How far a group is in each partition.
fn lags(connection: &Connection, topic: i64, group: i64) -> Result<Vec<PartitionLag>> {
    let read = || {
        let mut statement = connection.prepare_cached(
            "SELECT p.number, p.next - c.done_below -
               (SELECT count(*) FROM done d WHERE d.partition = p.id AND d.grp = ?2)
             FROM partitions p JOIN cursors c ON c.partition = p.id AND c.grp = ?2
             WHERE p.topic = ?1 ORDER BY p.number",
        )?;
        let rows = statement.query_map(params![topic, group], |row| {
            let backlog: i64 = row.get(1)?;
            Ok(PartitionLag { partition: row.get(0)?, backlog: backlog.max(0) as u64 })
        })?;
        rows.collect::<rusqlite::Result<_>>()
    };
    read().map_err(sql("backlog"))
}
