//! A projection's generations: the live one, and the one that is being built.

use anybroker_core::{Error, Kind, Result};

use super::checkpoint::now;
use super::failure::{BoxError, Failure, judge};
use super::projector::Projector;
use super::{Projection, Store, Tables};
use crate::event_store::Connection;

/// The operation of errors that are the projector's own, not the database's: nobody waits for them to pass.
pub(super) const WRONG: &str = "project";

/// A generation of a read model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) number: u32,
    pub(super) version: u32,
    pub(super) partitions: u32,
    pub(super) live: bool,
    pub(super) tables: Vec<String>,
}

/// All of a projection's; at most one is live, and at most one other.
pub(super) async fn all<D: Store>(
    database: &D,
    connection: &mut Connection<D>,
    name: &str,
) -> Result<Vec<Generation>> {
    let sql = "select generation, version, partitions, state, tables from {projections} \
               where name = $1 order by generation {for update}";
    let rows: Vec<(i64, i64, i64, String, String)> =
        database.rows(connection, "read projections", sql, &[name.into()]).await?;
    let generation = |(number, version, partitions, state, tables): (i64, i64, i64, String, String)| {
        Ok(Generation {
            number: number as u32,
            version: version as u32,
            partitions: partitions as u32,
            live: state == "live",
            tables: serde_json::from_str(&tables).map_err(|error| {
                let text = format!("the tables of projection `{name}` are no JSON list");
                Error::new(Kind::Decode, "read projections", text).with_source(error)
            })?,
        })
    };
    rows.into_iter().map(generation).collect()
}

impl<D: Store, P: Projection<D>> Projector<D, P> {
    /// The live generation, which is created if there is none.
    pub(super) async fn live(&self) -> Result<Generation> {
        let (generation, _) = self.find_or_create(true).await?;
        self.same_code(&generation)?;
        Ok(generation)
    }

    /// The generation that is being built, which is begun if there is none.
    pub(super) async fn building(&self) -> Result<Generation> {
        let (generation, begun) = self.find_or_create(false).await?;
        if let Err(error) = self.same_code(&generation) {
            return Err(error.advice("finish it with that program, or give it up: Projections::abandon"));
        }
        if begun {
            tracing::info!(projection = self.name(), generation = generation.number, "rebuilding");
        }
        Ok(generation)
    }

    async fn find_or_create(&self, live: bool) -> Result<(Generation, bool)> {
        let database = self.store().database();
        let mut transaction = database.begin_applying().await?;
        loop {
            let all = all(database, &mut transaction, self.name()).await?;
            if let Some(found) = all.iter().find(|generation| generation.live == live) {
                return Ok((found.clone(), false));
            }
            let generation = Generation {
                number: all.last().map_or(0, |last| last.number) + 1,
                version: self.projection().version(),
                partitions: self.options().partitions.max(1),
                live,
                tables: self.projection().tables().iter().map(ToString::to_string).collect(),
            };
            if self.create(&mut transaction, &generation).await? {
                let committed = transaction.commit().await;
                committed.map_err(|error| crate::database::typed("commit", error))?;
                return Ok((generation, true));
            }
        }
    }

    /// False if another process was faster.
    async fn create(&self, connection: &mut Connection<D>, generation: &Generation) -> Result<bool> {
        let (database, doing) = (self.store().database(), "create a projection");
        let name = self.name();
        let tables = serde_json::to_string(&generation.tables).unwrap_or_default();
        let sql = "insert into {projections} (name, generation, version, partitions, state, tables, created_at) \
                   values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
        let state = if generation.live { "live" } else { "building" };
        let (number, at) = (generation.number.into(), now());
        let values = [
            name.into(),
            number,
            generation.version.into(),
            generation.partitions.into(),
            state.into(),
            (&tables).into(),
            at,
        ];
        if database.execute(connection, doing, sql, &values).await? == 0 {
            return Ok(false);
        }
        for partition in 0..generation.partitions {
            let sql = "insert into {projection_checkpoints} (name, generation, part, position, updated_at) \
                       values ($1, $2, $3, 0, $4)";
            database.execute(connection, doing, sql, &[name.into(), number, partition.into(), at]).await?;
        }
        let names = self.tables(generation);
        self.projection().create(connection, &names).await.map_err(|error| self.not_created(error))?;
        for table in &generation.tables {
            let there = format!("select 1 from {} limit 0", names.table(table));
            let there = database.execute(connection, doing, &there, &[]).await;
            there.map_err(|error| self.not_created(error.into()))?;
            if generation.live {
                database.show(connection, &names.view(table), &names.table(table)).await?;
            }
        }
        Ok(true)
    }

    pub(super) fn tables(&self, generation: &Generation) -> Tables {
        Tables::new(self.store().database().names(), generation.number)
    }

    fn not_created(&self, error: BoxError) -> Error {
        match judge(error) {
            Failure::Transient(error) if error.is_retryable() => error,
            Failure::Transient(error) => self.wrong("its tables cannot be created").with_source(error),
            Failure::Permanent(reason) => self.wrong(format!("its tables cannot be created: {reason}")),
        }
    }

    /// Refuses to go on with what other code began.
    fn same_code(&self, generation: &Generation) -> Result<()> {
        let Generation { number, version, partitions, live, tables } = generation;
        let what = if *live { "live generation" } else { "generation in building" };
        let (mine, my_partitions) = (self.projection().version(), self.options().partitions.max(1));
        if *version != mine {
            let text = format!("its {what} {number} is of version {version}, and this program's is {mine}");
            let advice = if *version > mine { "update this program" } else { "call rebuild()" };
            return Err(self.wrong(text).advice(advice));
        }
        if !tables.iter().map(String::as_str).eq(self.projection().tables().iter().copied()) {
            let text = format!(
                "its {what} {number} has the tables {}, and this program's are {}, although both are of version {mine}",
                tables.join(", "),
                self.projection().tables().join(", ")
            );
            return Err(self.wrong(text).advice("raise the projection's version, and call rebuild()"));
        }
        if *partitions != my_partitions {
            let text = format!("its {what} {number} has {partitions} partitions, not {my_partitions}");
            let advice = format!(
                "open it with {partitions}, or call rebuild(): the new generation has {my_partitions}"
            );
            return Err(self.wrong(text).advice(advice));
        }
        Ok(())
    }

    pub(super) fn wrong(&self, text: impl Into<String>) -> Error {
        Error::new(Kind::InvalidConfiguration, WRONG, text).on(format!("projection `{}`", self.name()))
    }
}
