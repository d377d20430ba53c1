//! What a pattern ships: its tables, and the statements that make them.

use anybroker_core::{Error, Kind, Result};

use super::Names;

/// The tables of a pattern. A released migration is never changed; a new one is added at the end.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) tables: &'static [Table],
    /// Tables that only SQLite needs.
    pub(crate) sqlite_tables: &'static [Table],
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "PostgreSQL reads it"))]
    pub(crate) postgres: &'static [&'static str],
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "SQLite reads it"))]
    pub(crate) sqlite: &'static [&'static str],
}

/// A table as the code uses it, after the last migration.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [&'static str],
}

impl Component {
    pub(crate) fn fill(&self, names: &Names, sql: &str) -> String {
        let tables: Vec<_> = self.tables.iter().chain(self.sqlite_tables).map(|table| table.name).collect();
        names.fill(sql, &tables)
    }

    /// Compares what was applied with what is shipped, by number.
    pub(crate) fn compare(&self, applied: usize, shipped: usize) -> Result<()> {
        let name = self.name;
        let text = match applied.cmp(&shipped) {
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Less => format!(
                "the tables of the {name} are at version {applied}, and this program needs version {shipped}"
            ),
            std::cmp::Ordering::Greater => {
                format!(
                    "the tables of the {name} are at version {applied}, newer than this program's {shipped}"
                )
            }
        };
        let advice = if applied < shipped {
            "call migrate(), or: anybroker migrate URL"
        } else {
            "update this program"
        };
        Err(Error::new(Kind::InvalidConfiguration, "check tables", text).advice(advice))
    }

    /// Looks whether a table has the columns that it should have; `found` are those it has.
    pub(crate) fn columns(&self, names: &Names, table: &Table, found: &[String]) -> Result<()> {
        let missing: Vec<_> = table
            .columns
            .iter()
            .filter(|column| !found.iter().any(|found| found == *column))
            .copied()
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let full = names.table(table.name);
        let text = if found.is_empty() {
            format!("table {full} does not exist, although its migration was applied")
        } else {
            format!("table {full} has no column {}: it was changed by hand", missing.join(", "))
        };
        Err(Error::new(Kind::InvalidConfiguration, "check tables", text).advice(
            "restore it as the migrations shipped with this version make it; nothing was read or written",
        ))
    }
}
