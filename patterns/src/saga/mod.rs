//! Sagas: what takes many transactions, and is done completely or undone.
//!
//! A [`Saga`] is a row of steps. A [`SagaRunner`] runs its instances, and records each step before it goes on: after a crash
//! another one goes on where it was. If a step does not succeed, those that did are compensated, the last first; a
//! compensation that fails is parked for people, who look at it with [`SagaAdmin`] or `anybroker saga`. A [`Correlation`]
//! has nobody in command: it sees whether the events that belong together came.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use anybroker_core::{Message, Topic};
//! use anybroker_patterns::database::Sqlite;
//! use anybroker_patterns::outbox::Outbox;
//! use anybroker_patterns::saga::{self, RunnerOptions, Saga, SagaRunner, StepError};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Order { cents: u64, paid: bool }
//!
//! type Step = saga::Step<Order, Sqlite>;
//!
//! let database = Sqlite::open("shop.db").await?;
//! database.migrate().await?;
//! let payments = Outbox::new(database.clone(), Topic::new("payments")?);
//! let refunds = payments.clone();
//!
//! let fulfilment = Saga::new(database.clone(), "fulfilment", 1)
//!     .deadline(Duration::from_secs(3600))
//!     .step(
//!         Step::transaction("request payment", move |step, connection| {
//!             let payments = payments.clone();
//!             Box::pin(async move {
//!                 let request = Message::new(step.data.cents.to_string()).with_key(step.id().to_owned());
//!                 payments.stage(connection, request).await?;
//!                 Ok(())
//!             })
//!         })
//!         .compensate(move |step, connection| {
//!             let refunds = refunds.clone();
//!             Box::pin(async move {
//!                 refunds.stage(connection, Message::new("cancel").with_key(step.id().to_owned())).await?;
//!                 Ok(())
//!             })
//!         }),
//!     )
//!     .step(
//!         Step::wait("payment", ["payment.taken", "payment.declined"], |step, _| {
//!             Box::pin(async move {
//!                 if step.signal("payment.declined").is_some() {
//!                     return Err(StepError::declined("the payment was declined"));
//!                 }
//!                 step.data.paid = true;
//!                 Ok(())
//!             })
//!         })
//!         .timeout(Duration::from_secs(600)),
//!     );
//!
//! let mut transaction = database.pool().begin_with("begin immediate").await?;
//! // … the order itself …
//! fulfilment.start(&mut transaction, "order-7", &Order { cents: 300, paid: false }).await?;
//! transaction.commit().await?;
//!
//! // Where the payment's reply arrives, in the inbox's transaction:
//! let mut transaction = database.pool().begin_with("begin immediate").await?;
//! fulfilment.signal(&mut transaction, "order-7", "payment.taken", b"").await?;
//! transaction.commit().await?;
//!
//! let runner = SagaRunner::open(database, RunnerOptions::default()).await?.with(&fulfilment)?;
//! runner.run(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await;
//! # Ok(())
//! # }
//! ```

mod admin;
mod component;
mod context;
mod correlation;
mod definition;
mod instances;
mod loaded;
mod merge;
mod next;
#[cfg(feature = "postgres")]
mod postgres;
mod record;
mod retry;
mod runner;
#[cfg(feature = "sqlite")]
mod sqlite;
mod state;
mod step;
mod store;

pub use admin::{Entry, Filter, Instance, SagaAdmin, Shown, StepStatus};
pub(crate) use component::SAGA;
pub use context::{Context, Signal, StepError};
pub use correlation::Correlation;
pub use definition::{Saga, Signalled, Started};
pub use retry::Retry;
pub use runner::{Progress, RunnerOptions, SagaRunner};
pub use state::{State, StepState};
pub use step::Step;
pub use store::{Connection, Row, Store, Transaction, Value};

async fn commit<DB: sqlx::Database>(
    transaction: sqlx::Transaction<'static, DB>,
) -> anybroker_core::Result<()> {
    transaction.commit().await.map_err(|error| crate::database::typed("commit", error))
}
