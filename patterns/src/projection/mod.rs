//! Projections: read models that are made of events, each event once, those of a stream in order.
//!
//! A [`Projection`] says which tables it has and what an event does to them. A [`Projector`] follows the event store and
//! applies batches; the checkpoint is moved in the transaction that changes the tables, so a crash at any moment loses
//! nothing and applies nothing twice. [`Projections`] tells how far they are.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use anybroker_core::async_trait;
//! use anybroker_patterns::database::Sqlite;
//! use anybroker_patterns::event_store::{EventStore, Expected, NewEvent, Recorded};
//! use anybroker_patterns::projection::{BoxError, Projection, Projections, Projector, Tables};
//! use sqlx::{AssertSqlSafe, SqliteConnection};
//!
//! struct Placed;
//!
//! #[async_trait]
//! impl Projection<Sqlite> for Placed {
//!     fn name(&self) -> &str { "placed" }
//!     fn version(&self) -> u32 { 1 }
//!     fn tables(&self) -> &[&str] { &["placed"] }
//!
//!     async fn create(&self, connection: &mut SqliteConnection, tables: &Tables) -> Result<(), BoxError> {
//!         let sql = format!("create table {} (stream text primary key, cents integer)", tables.table("placed"));
//!         sqlx::query(AssertSqlSafe(sql)).execute(connection).await?;
//!         Ok(())
//!     }
//!
//!     async fn apply(
//!         &self,
//!         connection: &mut SqliteConnection,
//!         tables: &Tables,
//!         event: &Recorded,
//!     ) -> Result<(), BoxError> {
//!         let order: std::collections::HashMap<String, i64> = event.json()?;
//!         let sql = format!("insert into {} (stream, cents) values (?, ?)", tables.table("placed"));
//!         let insert = sqlx::query(AssertSqlSafe(sql)).bind(&event.stream).bind(order.get("cents"));
//!         insert.execute(connection).await?;
//!         Ok(())
//!     }
//! }
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("shop.db");
//! let database = Sqlite::open(path).await?;
//! database.migrate().await?;
//! let store = EventStore::open(database.clone()).await?;
//! let projector = Projector::open(store.clone(), Placed, Default::default()).await?;
//! let running = tokio::spawn(async move { projector.run(std::future::pending()).await });
//!
//! let mut transaction = store.begin().await?;
//! let placed = NewEvent::new("order.placed", 1, r#"{"cents":250}"#);
//! let appended = store.append(&mut transaction, "order-7", Expected::NoStream, &[placed]).await?;
//! transaction.commit().await?;
//!
//! let projections = Projections::open(database.clone()).await?;
//! # while projections.status().await?.is_empty() { tokio::task::yield_now().await }
//! projections.wait_for("placed", appended.position, std::time::Duration::from_secs(5)).await?;
//! let cents: i64 = sqlx::query_scalar("select cents from placed").fetch_one(database.pool()).await?;
//! assert_eq!(cents, 250);
//! # running.abort();
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod apply;
mod checkpoint;
mod component;
mod definition;
mod failure;
mod follow;
mod generation;
mod parking;
mod partition;
#[cfg(feature = "postgres")]
mod postgres;
mod progress;
mod projections;
mod projector;
mod rebuild;
mod retire;
mod retry;
mod run;
#[cfg(feature = "sqlite")]
mod sqlite;
mod status;
pub mod store;
mod tables;
mod wait;
mod wakes;

pub(crate) use component::COMPONENT;
pub use definition::Projection;
pub use failure::BoxError;
pub use progress::Progress;
pub use projections::{ParkedEvent, Projections};
pub use projector::{Projector, ProjectorOptions};
pub use retry::Retried;
pub use status::{COUNTED, PartitionStatus, Status};
pub use store::Store;
pub use tables::Tables;
pub use wait::WaitError;
