//! Rounds, measurements and statistics.

pub mod allocations;
mod broker_cpu;
mod child;
mod figures;
mod handler;
mod latency;
mod plan;
mod proof;
mod rounds;
mod scaling;
mod several;
mod statistics;
mod usage;

pub use child::run as run_child;
pub use figures::{Figures, Latencies};
pub use handler::Handler;
pub use plan::{Options, run};
pub use scaling::{Dimension, Most, Scale, scale};
pub use statistics::{Spread, percentile};
