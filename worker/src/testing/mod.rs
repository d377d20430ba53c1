//! A test kit: publish, let the worker run until it is idle, and look at what happened. Without sleeping: in tokio's paused
//! time, hours of back-off take milliseconds.
//!
//! ```
//! use anybroker_core::{Event, Topic};
//! use anybroker_worker::testing::TestApp;
//! use anybroker_worker::{Failure, Publishers};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct OrderPlaced { order: u32 }
//! impl Event for OrderPlaced { const TYPE: &'static str = "order.placed"; }
//! #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
//! struct Billed { order: u32 }
//! impl Event for Billed { const TYPE: &'static str = "billed"; }
//!
//! async fn bill(event: OrderPlaced, publishers: Publishers) -> Result<(), Failure> {
//!     let bills: Topic = "bills".parse()?;
//!     publishers.publish_event(&bills, &Billed { order: event.order }).await?;
//!     Ok(())
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! // In a test: #[tokio::test(start_paused = true)]
//! let broker = anybroker_memory::connect(&"memory://test".parse()?).await?; // anybroker::testing::broker()
//! let orders = "orders".parse()?;
//! let subscription = anybroker_core::Subscription::new("orders".parse()?, "billing".parse()?);
//! let app = TestApp::start(broker, |worker| worker.subscribe(subscription, bill)).await?;
//!
//! app.publish_event(&orders, &OrderPlaced { order: 7 }).await?;
//! let happened = app.idle().await?;
//!
//! assert_eq!(happened.events::<Billed>("bills"), [Billed { order: 7 }], "{happened}");
//! assert_eq!(happened.acknowledged().count(), 1);
//! app.stop().await?;
//! # Ok::<(), anybroker_core::Error>(()) }).unwrap();
//! ```

mod app;
mod happened;
mod tracked;

pub use app::TestApp;
pub use happened::{Happened, Published, Treated};
