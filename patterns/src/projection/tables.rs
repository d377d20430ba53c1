//! What a read model's tables are called.

use anybroker_core::{Error, Kind, Result};

use crate::database::Names;

/// PostgreSQL cuts names at 63 bytes; the suffix needs some of them.
const LONGEST: usize = 48;

/// The names of a read model's tables in one of its generations.
///
/// Each generation has tables of its own, with its number: `orders_g2`. A view with the plain name shows those of the live one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    schema: Option<String>,
    generation: u32,
}

impl Tables {
    pub(super) fn new(names: &Names, generation: u32) -> Self {
        Tables { schema: names.schema().map(str::to_owned), generation }
    }

    /// The full name of a table: `app.orders_g2`.
    pub fn table(&self, name: &str) -> String {
        self.in_schema(&self.bare(name))
    }

    /// The name without its schema, for what is called after it: `create index {bare}_by_day on …`.
    pub fn bare(&self, name: &str) -> String {
        format!("{name}_g{}", self.generation)
    }

    /// The view that readers use.
    pub(super) fn view(&self, name: &str) -> String {
        self.in_schema(name)
    }

    fn in_schema(&self, name: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name.to_owned(),
        }
    }
}

/// Refuses names that could end a statement.
pub(super) fn check_table(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if begins && name.len() <= LONGEST && name.bytes().all(allowed) {
        return Ok(());
    }
    let text = format!("`{name:.60}` is no name for a read model's table");
    let error = Error::new(Kind::InvalidConfiguration, "open a projection", text);
    Err(error.advice(format!(
        "use lower-case letters, digits and `_`, beginning with a letter, at most {LONGEST}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_has_its_own() {
        let tables = Tables::new(&Names::default(), 2);
        assert_eq!(
            (tables.table("orders").as_str(), tables.view("orders").as_str()),
            ("orders_g2", "orders")
        );
        let tables = Tables::new(&Names::default().in_schema("app").unwrap(), 3);
        assert_eq!((tables.table("a").as_str(), tables.bare("a").as_str()), ("app.a_g3", "a_g3"));
    }

    #[test]
    fn what_could_end_a_name_is_refused() {
        for name in ["", "a b", "a;", "A", "1a", "a.b", &"a".repeat(49)] {
            assert!(check_table(name).is_err(), "{name}");
        }
        check_table("orders_2").unwrap();
    }
}
