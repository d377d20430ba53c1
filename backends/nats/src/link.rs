//! One connection, which async-nats keeps up: it comes back by itself, and says so. What was on its way when it broke is
//! unknown; what rides on it looks at the number of the connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anybroker_core::kit::within;
use anybroker_core::{Error, Fate, Kind, Result};
use async_nats::client::Request;
use async_nats::jetstream::response::Response;
use async_nats::{Client, ConnectOptions, Event, HeaderMap, Message, ServerAddr, ServerError};
use bytes::Bytes;
use tokio::sync::watch;

use crate::config::{Login, NatsConfig};
use crate::error::{connecting, no_jetstream, refused, requesting};
use crate::permission::{self, Action};

/// How the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// It stands; the number grows with every reconnect.
    Up(u64),
    Down(u64),
    Closed,
}

/// What the server said that concerns nobody's request in particular.
#[derive(Debug)]
struct Signals {
    state: watch::Sender<State>,
    /// The last refusal for want of a permission.
    violation: watch::Sender<String>,
    /// How many messages were dropped because their consumer was slow, and of which subscriptions.
    dropped: watch::Sender<u64>,
}

impl Signals {
    fn take(&self, event: Event) {
        match event {
            Event::Connected => self.state.send_modify(|state| {
                if let State::Down(epoch) = *state {
                    *state = State::Up(epoch + 1);
                }
            }),
            Event::Disconnected => {
                tracing::warn!("the connection is lost; it is made again");
                self.state.send_modify(|state| {
                    if let State::Up(epoch) = *state {
                        *state = State::Down(epoch);
                    }
                });
            }
            Event::SlowConsumer(_) => self.dropped.send_modify(|count| *count += 1),
            Event::ServerError(ServerError::Other(text)) if permission::is_violation(&text) => {
                tracing::warn!(text, "the server refused");
                self.violation.send_replace(text);
            }
            Event::Closed => {
                self.state.send_replace(State::Closed);
            }
            other => tracing::debug!(event = %other, "the connection says"),
        }
    }
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Link {
    client: Mutex<Option<Client>>,
    signals: Arc<Signals>,
    pub(crate) deadline: Duration,
}

impl Link {
    /// Connects; the first time there is no trying again.
    pub(crate) async fn open(config: &NatsConfig) -> Result<Arc<Self>> {
        let signals = Arc::new(Signals {
            state: watch::Sender::new(State::Up(0)),
            violation: watch::Sender::new(String::new()),
            dropped: watch::Sender::new(0),
        });
        let told = signals.clone();
        let options = options(config)?.event_callback(move |event| {
            told.take(event);
            std::future::ready(())
        });
        let client = within(config.deadline, "connect", async {
            options.connect(addresses(config)?).await.map_err(connecting)
        })
        .await
        .map_err(|error| error.on(config.place()))?;
        Ok(Arc::new(Link { client: Mutex::new(Some(client)), signals, deadline: config.deadline }))
    }

    /// The client, unless it was closed.
    pub(crate) fn client(&self, operation: &'static str) -> Result<Client> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client.clone().ok_or_else(|| Error::new(Kind::Closed, operation, "the broker handle is closed"))
    }

    /// What the server says of itself.
    pub(crate) fn server(&self) -> Result<async_nats::ServerInfo> {
        Ok(self.client("connect")?.server_info())
    }

    /// The number of the connection, waiting up to `patience` for it to come back.
    pub(crate) async fn up(&self, operation: &'static str, patience: Duration) -> Result<u64> {
        let mut state = self.signals.state.subscribe();
        let up = tokio::time::timeout(patience, state.wait_for(|s| !matches!(s, State::Down(_)))).await;
        match up.ok().and_then(|state| state.ok().map(|state| state.clone())) {
            Some(State::Up(epoch)) => Ok(epoch),
            Some(_) => Err(Error::new(Kind::Closed, operation, "the broker handle is closed")),
            None => {
                Err(Error::new(Kind::Disconnected, operation, format!("no connection within {patience:?}"))
                    .with_fate(Fate::NotApplied))
            }
        }
    }

    /// Waits until the connection of that number is gone.
    pub(crate) async fn lost(&self, epoch: u64) {
        let mut state = self.signals.state.subscribe();
        // The sender lives as long as `self`.
        let _ = state.wait_for(|state| *state != State::Up(epoch)).await;
    }

    /// Waits until the server says that this may not be done with a subject that `concerns` us; it listens from the call on.
    pub(crate) fn forbidden<F: Fn(&str) -> bool>(
        &self,
        operation: &'static str,
        action: Action,
        concerns: F,
    ) -> impl Future<Output = Error> + use<F> {
        let mut violation = self.signals.violation.subscribe();
        async move {
            loop {
                if violation.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                let text = violation.borrow().clone();
                let ours = permission::forbidden(&text);
                if ours.is_some_and(|(forbidden, subject)| forbidden == action && concerns(subject)) {
                    return Error::new(Kind::PermissionDenied, operation, text)
                        .advice("give the user the permission, or log in as another");
                }
            }
        }
    }

    /// How many messages the client has dropped because their consumer was slow.
    pub(crate) fn dropped(&self) -> watch::Receiver<u64> {
        self.signals.dropped.subscribe()
    }

    /// Sends a request and waits for the answer, within the deadline and on one connection.
    pub(crate) async fn request(
        &self,
        operation: &'static str,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message> {
        within(self.deadline, operation, async {
            let epoch = self.up(operation, self.deadline).await?;
            let client = self.client(operation)?;
            let mut request = Request::new().payload(payload).timeout(None);
            if let Some(headers) = headers {
                request = request.headers(headers);
            }
            let forbidden = self.forbidden(operation, Action::Publish, |named| named == subject);
            tokio::select! {
                answer = client.send_request(subject.clone(), request) => {
                    answer.map_err(|e| requesting(operation, e))
                }
                error = forbidden => Err(error),
                () = self.lost(epoch) => Err(Error::new(Kind::Disconnected, operation, "the connection broke")),
            }
        })
        .await
    }

    /// Asks JetStream something.
    pub(crate) async fn api<T: serde::de::DeserializeOwned>(
        &self,
        operation: &'static str,
        subject: &str,
        payload: &serde_json::Value,
    ) -> Result<T> {
        let payload = if payload.is_null() { Bytes::new() } else { payload.to_string().into() };
        let answer = self.request(operation, format!("$JS.API.{subject}"), None, payload).await;
        let answer = answer.map_err(|error| match error.kind() {
            Kind::NotFound => no_jetstream(operation),
            _ => error,
        })?;
        match serde_json::from_slice(&answer.payload) {
            Ok(Response::Ok(answer)) => Ok(answer),
            Ok(Response::Err { error }) => Err(refused(operation, &error)),
            Err(error) => Err(Error::new(Kind::Unexpected, operation, "JetStream's answer does not read")
                .with_source(error)),
        }
    }

    /// Sends what is written and ends the connection, within the deadline.
    pub(crate) async fn close(&self) {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(client) = client {
            // What cannot be written in time is lost with the connection, as every close of it would have it.
            let _ = tokio::time::timeout(self.deadline, client.flush()).await;
            let _ = tokio::time::timeout(self.deadline, client.drain()).await;
        }
        self.signals.state.send_replace(State::Closed);
    }
}

fn addresses(config: &NatsConfig) -> Result<Vec<ServerAddr>> {
    let scheme = if config.tls { "tls" } else { "nats" };
    let address = |(host, port): &(String, u16)| format!("{scheme}://{host}:{port}").parse();
    config.hosts.iter().map(address).collect::<std::io::Result<_>>().map_err(|error| {
        Error::new(Kind::InvalidConfiguration, "connect", "the address does not read").with_source(error)
    })
}

/// Every host gets its share of the deadline, and its error comes before the deadline's own, which says less.
fn patience(config: &NatsConfig) -> Duration {
    config.deadline.mul_f64(0.9) / u32::try_from(config.hosts.len().max(1)).unwrap_or(u32::MAX)
}

fn options(config: &NatsConfig) -> Result<ConnectOptions> {
    let mut options = ConnectOptions::new()
        .name(&config.name)
        .ping_interval(config.ping_interval)
        .connection_timeout(patience(config))
        .request_timeout(None)
        .subscription_capacity(config.buffer)
        .require_tls(config.tls)
        .retain_servers_order();
    let files = &config.tls_files;
    if let Some(ca) = &files.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let (Some(certificate), Some(key)) = (&files.certificate, &files.key) {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(match &config.login {
        Login::None => options,
        Login::Password(user, password) => {
            options.user_and_password(user.clone(), password.expose().to_owned())
        }
        Login::Token(token) => options.token(token.expose().to_owned()),
        Login::Nkey(seed) => options.nkey(seed.expose().trim().to_owned()),
        Login::Credentials(text) => options.credentials(text.expose()).map_err(|error| {
            Error::new(Kind::InvalidConfiguration, "connect", "the credentials do not read")
                .with_source(error)
        })?,
    })
}
