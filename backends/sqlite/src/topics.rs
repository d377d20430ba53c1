//! Topics, their settings and groups in the tables.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Error, Group, Kind, Result, Topic, TopicInfo, Topology, TopologyMode};
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::Notify;

use crate::config::{Settings, SqliteConfig};
use crate::error::sql;
use crate::schema::PARTITIONS;
use crate::store::Store;
use crate::writer::Transaction;

/// Messages a partition keeps where nobody has said how many.
const RETENTION: u64 = 1_000_000;

/// A topic as publishers and consumers hold it.
#[derive(Debug)]
pub(crate) struct TopicState {
    pub(crate) id: i64,
    pub(crate) topic: Topic,
    /// The partitions' ids, by their numbers.
    pub(crate) partitions: Vec<i64>,
    /// Wakes everybody who waits for the topic.
    pub(crate) changed: Arc<Notify>,
}

/// What a topic is kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) retention: u64,
    pub(crate) retention_time: Option<Duration>,
    pub(crate) deduplication: Option<Duration>,
}

impl Kept {
    /// What a new topic gets.
    pub(crate) fn of(stated: &Settings) -> Self {
        let some = |time: Option<Duration>| time.filter(|time| !time.is_zero());
        Kept {
            retention: stated.retention.unwrap_or(RETENTION),
            retention_time: some(stated.retention_time),
            deduplication: some(stated.deduplication),
        }
    }

    /// What an existing topic has after `stated` is put over it.
    fn with(self, stated: &Settings) -> Self {
        let over = |time: Option<Duration>, had| time.map_or(had, |time| (!time.is_zero()).then_some(time));
        Kept {
            retention: stated.retention.unwrap_or(self.retention),
            retention_time: over(stated.retention_time, self.retention_time),
            deduplication: over(stated.deduplication, self.deduplication),
        }
    }

    fn differs(self, wanted: Self) -> String {
        let time =
            |time: Option<Duration>| time.map_or_else(|| "none".to_owned(), |time| format!("{time:?}"));
        let rows = [
            ("retention", self.retention.to_string(), wanted.retention.to_string()),
            ("retention_time", time(self.retention_time), time(wanted.retention_time)),
            ("deduplication", time(self.deduplication), time(wanted.deduplication)),
        ];
        let different = rows.iter().filter(|(_, has, wants)| has != wants);
        let told: Vec<_> =
            different.map(|(name, has, wants)| format!("its {name} is {has}, not {wants}")).collect();
        told.join(", ")
    }
}

fn millis(time: Option<Duration>) -> Option<i64> {
    time.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// What the topic of that id is kept by; none if it is deleted.
pub(crate) fn kept(connection: &Connection, topic: i64) -> Result<Option<Kept>> {
    let statement = "SELECT retention, retention_ms, deduplication_ms FROM topics WHERE id = ?1";
    let time = |ms: Option<i64>| ms.map(|ms| Duration::from_millis(ms as u64));
    let mut statement = connection.prepare_cached(statement).map_err(sql("read"))?;
    let row = statement.query_row([topic], |row| {
        let retention: i64 = row.get(0)?;
        let (retention_time, deduplication) = (time(row.get(1)?), time(row.get(2)?));
        Ok(Kept { retention: retention as u64, retention_time, deduplication })
    });
    row.optional().map_err(sql("read"))
}

/// The id of a topic and its partitions' ids; none if it does not exist.
pub(crate) fn find(connection: &Connection, topic: &Topic) -> Result<Option<(i64, Vec<i64>)>> {
    let id: Option<i64> = connection
        .query_row("SELECT id FROM topics WHERE name = ?1", [topic.as_str()], |row| row.get(0))
        .optional()
        .map_err(sql("read"))?;
    let Some(id) = id else { return Ok(None) };
    Ok(Some((id, partitions(connection, id)?)))
}

fn partitions(connection: &Connection, topic: i64) -> Result<Vec<i64>> {
    let mut statement = connection
        .prepare_cached("SELECT id FROM partitions WHERE topic = ?1 ORDER BY number")
        .map_err(sql("read"))?;
    let ids = statement.query_map([topic], |row| row.get(0)).map_err(sql("read"))?;
    ids.collect::<rusqlite::Result<_>>().map_err(sql("read"))
}

pub(crate) fn missing(topic: &Topic) -> Error {
    Error::new(Kind::NotFound, "open", "the topic does not exist")
        .on(format!("topic `{topic}`"))
        .advice("declare it first, or add topology=create to the URL")
}

/// The id of a group of a topic.
pub(crate) fn find_group(connection: &Connection, topic: i64, group: &Group) -> Result<Option<i64>> {
    connection
        .query_row(
            "SELECT id FROM groups WHERE topic = ?1 AND name = ?2",
            params![topic, group.as_str()],
            |row| row.get(0),
        )
        .optional()
        .map_err(sql("read"))
}

impl Store {
    /// The topic as publishers and consumers find it: created, if the mode says so.
    pub(crate) async fn open_topic(&self, topic: &Topic, config: &SqliteConfig) -> Result<Arc<TopicState>> {
        let (wanted, settings) = (topic.clone(), config.settings);
        let found = self.read("open", move |connection| {
            let Some((id, partitions)) = find(connection, &wanted)? else { return Ok(None) };
            let fits = kept(connection, id)?.is_some_and(|kept| kept.with(&settings) == kept);
            Ok(Some((id, partitions, fits)))
        });
        match found.await? {
            Some((id, partitions, fits)) if fits || config.topology == TopologyMode::Ignore => {
                Ok(self.state(id, topic, partitions))
            }
            None if config.topology != TopologyMode::Create => Err(missing(topic)),
            _ => self.declare(&Topology::new(topic.clone()), config).await,
        }
    }

    pub(crate) fn state(&self, id: i64, topic: &Topic, partitions: Vec<i64>) -> Arc<TopicState> {
        Arc::new(TopicState { id, topic: topic.clone(), partitions, changed: self.wakes.topic(id) })
    }

    /// Makes sure that the topic and its groups are there and fit.
    pub(crate) async fn declare(
        &self,
        topology: &Topology,
        config: &SqliteConfig,
    ) -> Result<Arc<TopicState>> {
        let (wanted, config) = (topology.clone(), config.clone());
        let (id, partitions) =
            self.write("declare", move |transaction| declare(transaction, &wanted, &config)).await?;
        Ok(self.state(id, &topology.topic, partitions))
    }

    /// Deletes the topic; its messages go bit by bit.
    pub(crate) async fn delete(&self, topic: &Topic) -> Result<()> {
        let topic = topic.clone();
        self.write("delete", move |transaction| delete(transaction, &topic)).await
    }

    /// Drops all messages of the topic; they go bit by bit.
    pub(crate) async fn purge(&self, topic: &Topic) -> Result<()> {
        let topic = topic.clone();
        self.write("purge", move |transaction| purge(transaction, &topic)).await
    }
}

fn declare(
    transaction: &mut Transaction<'_>,
    topology: &Topology,
    config: &SqliteConfig,
) -> Result<(i64, Vec<i64>)> {
    let topic = &topology.topic;
    let (id, partitions) = match find(transaction.sql, topic)? {
        Some(found) => fitting(transaction, topology, config, found)?,
        None => create(transaction.sql, topic, topology.partitions.unwrap_or(config.partitions), config)?,
    };
    for group in &topology.groups {
        create_group(transaction.sql, id, group)?;
    }
    Ok((id, partitions))
}

/// Refuses a topic that differs from what is declared and stated; changes its settings if that is asked for.
fn fitting(
    transaction: &mut Transaction<'_>,
    topology: &Topology,
    config: &SqliteConfig,
    (id, partitions): (i64, Vec<i64>),
) -> Result<(i64, Vec<i64>)> {
    let differs = |text: String, advice: &str| {
        Err(Error::new(Kind::InvalidConfiguration, "declare", text)
            .on(format!("topic `{}`", topology.topic))
            .advice(advice))
    };
    let existing = partitions.len();
    if let Some(wanted) = topology.partitions.filter(|wanted| *wanted as usize != existing) {
        let text = format!("it has {existing} partitions, and {wanted} are declared");
        return differs(text, "declare what is there, or delete the topic first");
    }
    let Some(has) = kept(transaction.sql, id)? else { return Err(missing(&topology.topic)) };
    let wanted = has.with(&config.settings);
    if wanted != has && !config.alter {
        let advice = "state what is there, leave it out of the URL, or change the topic with alter=true";
        return differs(has.differs(wanted), advice);
    }
    if wanted != has {
        let statement =
            "UPDATE topics SET retention = ?2, retention_ms = ?3, deduplication_ms = ?4 WHERE id = ?1";
        let values =
            params![id, count(wanted.retention), millis(wanted.retention_time), millis(wanted.deduplication)];
        transaction.sql.execute(statement, values).map_err(sql("declare"))?;
    }
    Ok((id, partitions))
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn create(
    connection: &Connection,
    topic: &Topic,
    partitions: u32,
    config: &SqliteConfig,
) -> Result<(i64, Vec<i64>)> {
    let kept = Kept::of(&config.settings);
    let statement =
        "INSERT INTO topics (name, retention, retention_ms, deduplication_ms) VALUES (?1, ?2, ?3, ?4)";
    let values = params![
        topic.as_str(),
        count(kept.retention),
        millis(kept.retention_time),
        millis(kept.deduplication)
    ];
    connection.execute(statement, values).map_err(sql("declare"))?;
    let id = connection.last_insert_rowid();
    for number in 0..partitions {
        let partition = free_partition(connection)?;
        let statement =
            "INSERT INTO partitions (id, topic, number, start, swept, next) VALUES (?1, ?2, ?3, 0, 0, 0)";
        connection.execute(statement, params![partition, id, number]).map_err(sql("declare"))?;
    }
    Ok((id, self::partitions(connection, id)?))
}

/// The lowest id that no partition has.
fn free_partition(connection: &Connection) -> Result<i64> {
    let statement = "SELECT min(id) + 1 FROM (SELECT 0 AS id UNION ALL SELECT id FROM partitions) AS taken
        WHERE NOT EXISTS (SELECT 1 FROM partitions AS next WHERE next.id = taken.id + 1)";
    let mut statement = connection.prepare_cached(statement).map_err(sql("declare"))?;
    let id: i64 = statement.query_row([], |row| row.get(0)).map_err(sql("declare"))?;
    if id < PARTITIONS {
        return Ok(id);
    }
    let text = format!("the file has {PARTITIONS} partitions, and no more fit");
    Err(Error::new(Kind::Throttled, "declare", text).advice("delete topics, or use another file"))
}

/// Creates the group if it is new; it gets what the topic still keeps, and everything from now on.
pub(crate) fn create_group(connection: &Connection, topic: i64, group: &Group) -> Result<i64> {
    if let Some(id) = find_group(connection, topic, group)? {
        return Ok(id);
    }
    let statement = "INSERT INTO groups (topic, name) VALUES (?1, ?2)";
    connection.execute(statement, params![topic, group.as_str()]).map_err(sql("declare"))?;
    let id = connection.last_insert_rowid();
    let statement = "INSERT INTO cursors (partition, grp, done_below, owner, epoch)
        SELECT id, ?2, start, NULL, 0 FROM partitions WHERE topic = ?1";
    connection.execute(statement, params![topic, id]).map_err(sql("declare"))?;
    Ok(id)
}

fn delete(transaction: &mut Transaction<'_>, topic: &Topic) -> Result<()> {
    let Some((id, _)) = find(transaction.sql, topic)? else { return Err(missing(topic)) };
    forget_messages(transaction.sql, id)?;
    let of_its_groups =
        |table: &str| format!("DELETE FROM {table} WHERE grp IN (SELECT id FROM groups WHERE topic = ?1)");
    let statements = [
        "DELETE FROM cursors WHERE partition IN (SELECT id FROM partitions WHERE topic = ?1)",
        &of_its_groups("members"),
        "DELETE FROM groups WHERE topic = ?1",
        "DELETE FROM ids WHERE topic = ?1",
        "UPDATE partitions SET topic = NULL WHERE topic = ?1",
        "DELETE FROM topics WHERE id = ?1",
    ];
    for statement in statements {
        transaction.sql.execute(statement, [id]).map_err(sql("delete"))?;
    }
    (transaction.more, transaction.changed) = (true, [&transaction.changed[..], &[id]].concat());
    Ok(())
}

fn purge(transaction: &mut Transaction<'_>, topic: &Topic) -> Result<()> {
    let Some((id, _)) = find(transaction.sql, topic)? else { return Err(missing(topic)) };
    forget_messages(transaction.sql, id)?;
    let statement = "UPDATE cursors SET done_below = (SELECT next FROM partitions WHERE id = partition)
        WHERE partition IN (SELECT id FROM partitions WHERE topic = ?1)";
    transaction.sql.execute(statement, [id]).map_err(sql("purge"))?;
    transaction.changed.push(id);
    transaction.more = true;
    Ok(())
}

/// Lets all messages of a topic go, and what is known of them.
fn forget_messages(connection: &Connection, topic: i64) -> Result<()> {
    for statement in [
        "UPDATE partitions SET start = next WHERE topic = ?1",
        "DELETE FROM done WHERE partition IN (SELECT id FROM partitions WHERE topic = ?1)",
        "DELETE FROM attempts WHERE partition IN (SELECT id FROM partitions WHERE topic = ?1)",
    ] {
        connection.execute(statement, [topic]).map_err(sql("purge"))?;
    }
    Ok(())
}

/// All topics with their groups, by name.
pub(crate) fn list(connection: &Connection) -> Result<Vec<TopicInfo>> {
    let read = || -> rusqlite::Result<Vec<TopicInfo>> {
        let mut topics = connection.prepare_cached(
            "SELECT t.id, t.name, count(p.id) FROM topics t JOIN partitions p ON p.topic = t.id GROUP BY t.id ORDER BY t.name",
        )?;
        let mut groups =
            connection.prepare_cached("SELECT name FROM groups WHERE topic = ?1 ORDER BY name")?;
        let mut rows = topics.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let names = groups.query_map([row.get::<_, i64>(0)?], |row| row.get(0))?;
            all.push(TopicInfo {
                topic: row.get(1)?,
                partitions: Some(row.get(2)?),
                groups: names.collect::<rusqlite::Result<_>>()?,
            });
        }
        Ok(all)
    };
    read().map_err(sql("topics"))
}
