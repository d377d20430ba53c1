//! What a worker shows of itself: metrics, spans.

mod metrics;
mod operation;
#[cfg(feature = "otel")]
mod otel;
mod spans;
mod subscriptions;

pub use metrics::Metrics;
pub(crate) use operation::Operation;
#[cfg(feature = "otel")]
pub use otel::Telemetry;
pub use spans::SPANS;
pub(crate) use spans::Spans;
pub(crate) use subscriptions::BySubscription;
