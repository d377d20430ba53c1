//! `/livez`, `/readyz` and `/metrics` over HTTP.

mod http;

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Error, Kind, Result};
use tokio::task::JoinSet;

use crate::health::Health;
use crate::telemetry::Metrics;
use http::Response;

/// Answers probes and scrapes for as long as its worker runs: HTTP/1.1, one request a connection, without TLS and without
/// a login, so bind it to where only the cluster reaches it.
///
/// | path | answer |
/// |---|---|
/// | `/livez` | 200 while the worker [lives](Health::is_live), otherwise 503 |
/// | `/readyz` | 200 while it is [ready](Health::is_ready), otherwise 503; the [`Report`](crate::Report) as JSON |
/// | `/metrics` | [`Metrics::render`] |
///
/// ```
/// # use anybroker_core::{Delivery, Group, Subscription, Topic};
/// # use anybroker_worker::{BoxError, Endpoint, Worker};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anybroker_core::Result<()> {
/// # let broker = anybroker_memory::connect(&"memory://".parse()?).await?;
/// # let subscription = Subscription::new(Topic::new("orders")?, Group::new("billing")?);
/// # let handler = tower::service_fn(|_: Delivery| async { Ok::<_, BoxError>(()) });
/// let endpoint = Endpoint::bind("127.0.0.1:0")?; // a port of its own; 0.0.0.0:9000 in a cluster
/// println!("http://{}/readyz", endpoint.address());
/// let worker = Worker::builder(broker).endpoint(endpoint).subscribe(subscription, handler).build()?;
/// # worker.run_until(async {}).await
/// # }
/// ```
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
    answers: Arc<Answers>,
}

#[derive(Debug)]
struct Answers {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// How many connections are open at once; others wait in the system's queue.
const CONNECTIONS: usize = 32;

/// How long one may take, from the first byte to the last.
const LIMIT: Duration = Duration::from_secs(5);

impl Endpoint {
    /// Binds to an address; connections are accepted once the worker runs.
    ///
    /// # Errors
    /// `InvalidConfiguration` if it cannot be bound.
    pub fn bind(address: impl ToSocketAddrs) -> Result<Self> {
        let bound = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        let (address, listener) = bound.map_err(|error| {
            let text = format!("the endpoint cannot be bound: {error}");
            Error::new(Kind::InvalidConfiguration, "bind", text).with_source(error)
        })?;
        let answers = Arc::new(Answers { health: Health::new(), metrics: Metrics::new() });
        Ok(Endpoint { listener, address, answers })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `/livez` and `/readyz` answer by.
    pub fn health(&self) -> &Arc<Health> {
        &self.answers.health
    }

    /// What `/metrics` shows.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.answers.metrics
    }

    /// Answers for as long as it is polled.
    pub(crate) async fn serve(self) {
        let listener = match tokio::net::TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "the endpoint cannot listen"),
        };
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        let answers = self.answers.clone();
                        let answered = http::serve(stream, move |path| answers.to(path));
                        connections.spawn(tokio::time::timeout(LIMIT, answered));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the endpoint cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
    }
}

impl Answers {
    fn to(&self, path: &str) -> Response {
        match path {
            "/livez" => {
                let live = self.health.is_live();
                Response::json(if live { 200 } else { 503 }, &serde_json::json!({ "live": live }))
            }
            "/readyz" => {
                let ready = if self.health.is_ready() { 200 } else { 503 };
                Response::json(ready, &self.health.report())
            }
            "/metrics" => Response::metrics(self.metrics.render()),
            _ => Response::text(404, "there are /livez, /readyz and /metrics\n"),
        }
    }
}
