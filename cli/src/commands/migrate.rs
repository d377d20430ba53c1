//! `anybroker migrate DATABASE`: creates the tables of the patterns.

use super::database::{Where, with_database};
use crate::failure::{Done, Failure};
use crate::output;

/// Arguments of `migrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Creates what is missing, in one transaction; what is there stays as it is. Several programs may do it
at once.

Examples:
  anybroker migrate sqlite:///var/lib/shop/shop.db
  anybroker migrate postgres://shop@db.example/shop --schema messaging")]
pub(crate) struct Args {
    #[command(flatten)]
    database: Where,
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    with_database!(args.database.open().await?, |database| database.migrate().await)?;
    output::note("the tables are there");
    Ok(Done::Holds)
}
