//! Proves the guarantees of a broker adapter.

pub mod brokers;
