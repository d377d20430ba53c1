//! Real brokers for tests and for trying things out: start them, break them, stop them.
//!
//! Where a container engine answers, the brokers run from the shipped `compose.yaml`; elsewhere they run as
//! native processes fetched from package registries. Either way they outlive the command that started them,
//! and a later [`Brokers`] on the same state directory finds them again. PostgreSQL is among them: no broker, but
//! where the patterns keep their state, and as much in need of being broken; and so are registries of schemas, and an
//! object store.
//!
//! ```no_run
//! # async fn example() -> Result<(), anybroker_conformance::brokers::Error> {
//! use anybroker_conformance::brokers::{Brokers, Options, PortChoice};
//!
//! let options = Options { ports: PortChoice::Free, ..Options::default() };
//! let brokers = Brokers::open("target/brokers", options)?;
//! let kafka = brokers.up(&["kafka"]).await?.remove(0);
//! println!("{:?}", kafka.url);
//! brokers.kill("kafka").await?;
//! brokers.up(&["kafka"]).await?; // the same port and the same data
//! brokers.down(&[]).await?;
//! # Ok(()) }
//! ```

mod catalogue;
mod certificates;
mod container;
mod control;
mod error;
mod fetch;
mod lock;
mod native;
mod one;
mod options;
mod ports;
mod probe;
mod process;
mod progress;
mod ready;
mod record;
mod runner;
mod site;
mod status;
mod tool;

pub use control::Brokers;
pub use error::Error;
pub use options::{Engine, Options, PortChoice, default_cache, default_state};
pub use ports::Ports;
pub use process::ProcessId;
pub use progress::{Progress, Step};
pub use status::{Mode, Proxied, Secure, State, Status};
