//! `tower` layers for handlers: idempotency, and a circuit breaker.

mod circuit_breaker;
mod idempotency;

pub use circuit_breaker::{CircuitBreaker, CircuitBroken};
pub use idempotency::{Idempotency, Idempotent};
