//! Counters, gauges and histograms by plain atomics.

mod histogram;
mod render;
mod series;

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Group, Topic};

use super::BySubscription;
use crate::observe::{Happening, Observer, Wants};
use series::Series;

/// Counts what a worker does, and writes it as Prometheus reads it.
///
/// All names begin with `anybroker_worker_`, and have the labels `topic` and `group`; `docs/observability.md` lists them.
///
/// ```
/// # use anybroker_core::{Group, Message, PublisherExt, PublisherOptions, Subscription, Topic, Delivery};
/// # use anybroker_worker::{BoxError, Metrics, Worker};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anybroker_core::Result<()> {
/// # let broker = anybroker_memory::connect(&"memory://".parse()?).await?;
/// # let (topic, group) = (Topic::new("orders")?, Group::new("billing")?);
/// # let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
/// # publisher.publish(Message::new("3 apples")).await?;
/// # let (done, mut handled) = tokio::sync::mpsc::channel(1);
/// # let handler = tower::service_fn(move |_: Delivery| {
/// #     let done = done.clone();
/// #     async move { Ok::<_, BoxError>(done.send(()).await?) }
/// # });
/// let metrics = Metrics::new();
/// let worker = Worker::builder(broker)
///     .observe(metrics.clone())
///     .subscribe(Subscription::new(topic, group), handler)
///     .build()?;
/// # worker.run_until(async { handled.recv().await; }).await?;
/// let text = metrics.render();
/// assert!(text.contains("anybroker_worker_received_messages_total{topic=\"orders\",group=\"billing\"} 1"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Metrics {
    subscriptions: BySubscription<Series>,
    lag: Option<Duration>,
}

impl Metrics {
    /// How often the broker is asked how far the groups are behind.
    const LAG: Duration = Duration::from_secs(15);

    /// With nothing counted; the broker is asked for the lag every 15 s.
    pub fn new() -> Arc<Self> {
        Self::with_lag(Some(Self::LAG))
    }

    /// The same, with another interval of asking for the lag, or without asking.
    pub fn with_lag(every: Option<Duration>) -> Arc<Self> {
        Arc::new(Metrics { subscriptions: BySubscription::default(), lag: every })
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        let all: Vec<_> = self.subscriptions.iter().collect();
        render::render(&all)
    }
}

impl Observer for Metrics {
    fn observe(&self, topic: &Topic, group: &Group, happening: &Happening<'_>) {
        self.subscriptions.of(topic, group, Series::default).count(happening);
    }

    fn wants(&self) -> Wants {
        Wants { lag: self.lag, ..Wants::default() }
    }
}
