//! Proves the guarantees of a broker adapter: what happened is recorded as a *history*, and a history is checked
//! against the *properties* that were promised.
//!
//! - [`history`]: the file format, and [`recorder`], which writes it while an application works;
//! - [`properties`]: the checkers, pure functions over a history;
//! - [`cases`]: behaviour that every backend must show;
//! - [`plan`]: what proves each guarantee, and what a history is held to by it;
//! - [`subject`]: a backend in one configuration, with what can be done to it; [`run`] runs the cases on it and reports
//!   whether every promise was exercised and held; [`suite()`] is that as one test program;
//! - [`workload`]: random workloads that shrink and are replayed by their seed;
//! - [`liars`]: brokers that are broken on purpose, and must be named; honest ones, which must not;
//! - [`faithful`]: what a broker and its simulation were seen to do;
//! - [`brokers`]: real brokers, started, killed and restarted on this machine;
//! - [`proxy`]: a TCP proxy in front of a broker, whose connections are cut, stalled and delayed.

pub mod brokers;
pub mod cases;
pub mod faithful;
pub mod guarantees_table;
pub mod history;
pub mod liars;
pub mod plan;
pub mod properties;
pub mod proxy;
pub mod recorder;
pub mod report;
pub mod run;
pub mod subject;
mod suite;
pub mod workload;

pub use suite::{REPORTS, suite};
