//! What a worker shows of itself: metrics, spans.

mod metrics;
mod subscriptions;

pub use metrics::Metrics;
pub(crate) use subscriptions::BySubscription;
