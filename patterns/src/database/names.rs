//! What the tables are called.

use anybroker_core::{Error, Kind, Result};

/// The longest table name that is added to a prefix; PostgreSQL cuts names at 63 bytes.
const LONGEST_PREFIX: usize = 24;

/// The schema and the beginning of the name of every table: `app.anybroker_outbox`.
///
/// ```
/// use anybroker_patterns::database::Names;
/// let names = Names::new("shop_")?.in_schema("app")?;
/// assert_eq!(names.table("outbox"), "app.shop_outbox");
/// assert!(Names::new("x; drop table").is_err());
/// # Ok::<_, anybroker_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    schema: Option<String>,
    prefix: String,
}

impl Default for Names {
    /// `anybroker_`, in the schema that the connection uses.
    fn default() -> Self {
        Names { schema: None, prefix: "anybroker_".into() }
    }
}

impl Names {
    /// Tables that begin with a prefix, which may be empty.
    ///
    /// # Errors
    /// `InvalidConfiguration`: only lower-case letters, digits and `_`, at most 24.
    pub fn new(prefix: impl Into<String>) -> Result<Self> {
        let prefix = prefix.into();
        if prefix.len() > LONGEST_PREFIX || !prefix.bytes().all(allowed) {
            return Err(invalid("prefix", &prefix));
        }
        Ok(Names { schema: None, prefix })
    }

    /// In a schema; on SQLite, in an attached database.
    ///
    /// # Errors
    /// `InvalidConfiguration`: only lower-case letters, digits and `_`, at most 24, and not none.
    pub fn in_schema(mut self, schema: impl Into<String>) -> Result<Self> {
        let schema = schema.into();
        if schema.is_empty() || schema.len() > LONGEST_PREFIX || !schema.bytes().all(allowed) {
            return Err(invalid("schema", &schema));
        }
        self.schema = Some(schema);
        Ok(self)
    }

    /// The full name of a table.
    pub fn table(&self, name: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}{name}", self.prefix),
            None => format!("{}{name}", self.prefix),
        }
    }

    /// The schema, if one is named.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// A table's name without its schema: also the beginning of the names of indexes and channels.
    pub fn bare(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Fills in the names of a statement: `{outbox}` is the table, `{outbox:bare}` its name without the schema.
    pub(crate) fn fill(&self, sql: &str, tables: &[&str]) -> String {
        tables.iter().fold(sql.to_owned(), |sql, name| {
            let bare = sql.replace(&format!("{{{name}:bare}}"), &self.bare(name));
            bare.replace(&format!("{{{name}}}"), &self.table(name))
        })
    }
}

fn allowed(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

fn invalid(what: &str, name: &str) -> Error {
    Error::new(Kind::InvalidConfiguration, "configure", format!("`{name}` is no {what} for tables"))
        .advice("use lower-case letters, digits and `_`, at most 24")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_filled_in() {
        let names = Names::new("p_").unwrap().in_schema("s").unwrap();
        let sql = names.fill("create index {outbox:bare}_at on {outbox} (at)", &["outbox"]);
        assert_eq!(sql, "create index p_outbox_at on s.p_outbox (at)");
    }

    #[test]
    fn what_could_end_a_name_is_refused() {
        for name in ["a b", "a\"", "a;", "A", "é", &"a".repeat(25)] {
            assert!(Names::new(name).is_err(), "{name}");
            assert!(Names::default().in_schema(name).is_err(), "{name}");
        }
        assert!(Names::default().in_schema("").is_err());
    }
}
