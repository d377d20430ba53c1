//! The database that the patterns keep their tables in, as commands take it.

use anybroker::patterns::database::{Names, Postgres, Sqlite};

use crate::args::Format;
use crate::failure::Failure;

/// Arguments that name a database.
#[derive(Debug, clap::Args)]
pub(crate) struct Where {
    /// postgres://user:password@host/database, or sqlite:///path/file.db.
    #[arg(value_name = "DATABASE", env = "ANYBROKER_DATABASE_URL", hide_env_values = true)]
    database: String,
    /// The schema of the tables (default: the connection's own).
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// What the names of the tables begin with.
    #[arg(long, value_name = "TEXT", default_value = "anybroker_")]
    prefix: String,
}

/// Arguments of what is asked of a database.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    #[command(flatten)]
    pub(crate) database: Where,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// One that is open.
pub(crate) enum Database {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

impl Where {
    /// Opens it.
    pub(crate) async fn open(&self) -> Result<Database, Failure> {
        let mut names = Names::new(self.prefix.as_str())?;
        if let Some(schema) = &self.schema {
            names = names.in_schema(schema.as_str())?;
        }
        match self.database.split_once("://") {
            Some(("postgres" | "postgresql", _)) => {
                Ok(Database::Postgres(Postgres::connect(&self.database).await?.with_names(names)))
            }
            Some(("sqlite", path)) => Ok(Database::Sqlite(Sqlite::open(path).await?.with_names(names))),
            _ => Err(Failure::new(
                "the database is neither postgres://user:password@host/database nor sqlite:///path/file.db",
            )),
        }
    }
}

/// Runs the same with whichever database it is.
macro_rules! with_database {
    ($database:expr, |$store:ident| $work:expr) => {
        match $database {
            $crate::commands::database::Database::Postgres($store) => $work,
            $crate::commands::database::Database::Sqlite($store) => $work,
        }
    };
}
pub(crate) use with_database;
