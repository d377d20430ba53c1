//! A supervised connection: it comes back by itself, and says so; what rides on it opens its channels anew.
//!
//! lapin's own recovery stays off: it is young, and resuming is ours to decide (what was in flight is unknown).

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::kit::{Supervision, within};
use anybroker_core::{Error, Kind, Result};
use futures::{Stream, StreamExt};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism};
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::asking::Asking;
use crate::config::{Auth, RabbitConfig};
use crate::error::{is_of_a_channel, typed};
use crate::server::{self, Server};
use crate::stream::Encryption;

/// A connection that stands, or stood a moment ago.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) connection: Arc<Connection>,
    pub(crate) server: Arc<Server>,
    /// Grows with every reconnect.
    pub(crate) epoch: u64,
    pub(crate) deadline: Duration,
    /// For requests that a refusal may answer.
    pub(crate) asking: Arc<Asking>,
}

impl Live {
    /// Opens a channel.
    pub(crate) async fn channel(&self, operation: &'static str) -> Result<Channel> {
        within(self.deadline, operation, fresh(&self.connection, operation)).await
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.status().connected()
    }
}

/// Opens a channel that carries nothing over from an earlier one of its number: see [`asking`](crate::asking). lapin does not give
/// such a number again, so that this comes to an end.
pub(crate) async fn fresh(connection: &Connection, operation: &'static str) -> Result<Channel> {
    loop {
        match connection.create_channel().await {
            // What a server refuses to open it refuses with other codes.
            Err(error) if is_of_a_channel(&error) => {}
            opened => return opened.map_err(|e| typed(operation, e)),
        }
    }
}

#[derive(Clone, Debug)]
enum State {
    Up(Live),
    Down(Arc<Error>),
    Closed,
}

/// The handle of one supervised connection.
#[derive(Debug)]
pub(crate) struct Link {
    state: watch::Receiver<State>,
    suspect: Arc<Notify>,
    closing: Arc<Notify>,
    task: JoinHandle<()>,
    deadline: Duration,
}

impl Link {
    /// Connects, and keeps connecting from then on.
    pub(crate) async fn open(config: Arc<RabbitConfig>, purpose: &'static str) -> Result<Arc<Self>> {
        let asking = Arc::new(Asking::new(config.clone()));
        let live = connect(&config, purpose, 0, &asking).await?;
        let (sender, state) = watch::channel(State::Up(live.clone()));
        let (suspect, closing) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let deadline = config.deadline;
        let keeper = Keeper { config, purpose, state: sender, suspect: suspect.clone() };
        let ended = closing.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = keeper.run(live, asking) => {}
                () = ended.notified() => keeper.close().await,
            }
        });
        Ok(Arc::new(Link { state, suspect, closing, task, deadline }))
    }

    /// The connection, waiting up to `patience` for it to come back.
    ///
    /// # Errors
    /// `Closed`; after `patience`, why the last attempt failed.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn live(&self, patience: Duration) -> Result<Live> {
        let mut state = self.state.clone();
        let up = tokio::time::timeout(patience, state.wait_for(|s| !matches!(s, State::Down(_)))).await;
        let known = match up {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => State::Closed,
            Err(_) => self.state.borrow().clone(),
        };
        match known {
            State::Up(live) => Ok(live),
            State::Down(error) => Err(error.duplicate()),
            State::Closed => Err(Error::new(Kind::Closed, "connect", "the broker handle is closed")),
        }
    }

    /// The connection, within the usual deadline.
    pub(crate) async fn now(&self) -> Result<Live> {
        self.live(self.deadline).await
    }

    /// Waits until the connection `epoch` is gone.
    pub(crate) async fn lost(&self, epoch: u64) {
        let mut state = self.state.clone();
        let gone = |s: &State| !matches!(s, State::Up(live) if live.epoch == epoch);
        // An error means that the keeper has ended, and the connection with it.
        let _ = state.wait_for(gone).await;
    }

    /// Tells that a request on the connection failed, so that it is looked at.
    pub(crate) fn suspect(&self) {
        self.suspect.notify_one();
    }

    /// Closes the connection within the deadline.
    pub(crate) async fn close(&self) {
        self.closing.notify_one();
        let mut state = self.state.clone();
        let _ = tokio::time::timeout(self.deadline, state.wait_for(|s| matches!(s, State::Closed))).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keeper {
    config: Arc<RabbitConfig>,
    purpose: &'static str,
    state: watch::Sender<State>,
    suspect: Arc<Notify>,
}

impl Keeper {
    async fn run(&self, mut live: Live, asking: Arc<Asking>) {
        loop {
            let why = self.end_of(&live).await;
            tracing::warn!(place = self.config.place(), purpose = self.purpose, %why, "the connection is lost");
            self.state.send_replace(State::Down(Arc::new(why)));
            live = self.reconnect(live.epoch + 1, &asking).await;
            tracing::info!(place = self.config.place(), purpose = self.purpose, "connected again");
            self.state.send_replace(State::Up(live.clone()));
        }
    }

    /// Waits for the end of the connection and says why it ended.
    async fn end_of(&self, live: &Live) -> Error {
        let mut events = std::pin::pin!(live.connection.events_listener());
        let mut why = None;
        loop {
            if !live.is_connected() {
                let text = "the connection ended";
                return why.unwrap_or_else(|| Error::new(Kind::Disconnected, "connect", text));
            }
            tokio::select! {
                error = next_error(&mut events) => why = Some(error),
                () = self.suspect.notified() => {}
            }
        }
    }

    async fn reconnect(&self, epoch: u64, asking: &Arc<Asking>) -> Live {
        let mut waits = Supervision::new();
        asking.renew();
        loop {
            tokio::time::sleep(waits.next_wait()).await;
            match connect(&self.config, self.purpose, epoch, asking).await {
                Ok(live) => return live,
                Err(error) => {
                    tracing::debug!(%error, "reconnecting failed; trying again");
                    self.state.send_replace(State::Down(Arc::new(error)));
                }
            }
        }
    }

    async fn close(&self) {
        let last = self.state.send_replace(State::Closed);
        if let State::Up(live) = last {
            let bye = live.connection.close(200, "closed by the application".into());
            let _ = tokio::time::timeout(self.config.deadline, bye).await;
        }
    }
}

async fn next_error(events: &mut (impl Stream<Item = Event> + Unpin)) -> Error {
    loop {
        match events.next().await {
            Some(Event::Error(error)) => return typed("connect", error),
            Some(_) => {}
            // lapin ends the stream only with the connection; the caller looks at that.
            None => std::future::pending().await,
        }
    }
}

async fn connect(
    config: &RabbitConfig,
    purpose: &'static str,
    epoch: u64,
    asking: &Arc<Asking>,
) -> Result<Live> {
    let (connection, server) = dial(config, purpose).await?;
    let (connection, server) = (Arc::new(connection), Arc::new(server));
    Ok(Live { connection, server, epoch, deadline: config.deadline, asking: asking.clone() })
}

/// Tries every host in turn.
pub(crate) async fn dial(config: &RabbitConfig, purpose: &'static str) -> Result<(Connection, Server)> {
    let mut last = Error::new(Kind::InvalidConfiguration, "connect", "there is no host to connect to");
    for at in 0..config.hosts.len() {
        let uri = uri(config, at);
        match within(config.deadline, "connect", dial_one(config, purpose, uri)).await {
            Ok(dialled) => return Ok(dialled),
            Err(error) => last = error,
        }
    }
    Err(last.on(config.place()))
}

async fn dial_one(config: &RabbitConfig, purpose: &str, uri: AMQPUri) -> Result<(Connection, Server)> {
    let encryption = Encryption::of(config).await?;
    let server = server::ask(&uri, &encryption).await?;
    let name = format!("{} ({purpose})", config.name);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let runtime = lapin::runtime::default_runtime().map_err(|e| typed("connect", e))?;
    let open = async move |uri: AMQPUri, _| {
        encryption.open(&uri).await.map_err(|e| lapin::ErrorKind::IOError(Arc::new(e)).into())
    };
    let connection =
        Connection::connector(uri, runtime, open, properties).await.map_err(|e| typed("connect", e))?;
    Ok((connection, server))
}

fn uri(config: &RabbitConfig, at: usize) -> AMQPUri {
    let (host, port) = &config.hosts[at];
    AMQPUri {
        scheme: if config.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: config.user.clone(),
                password: config.password.expose().to_owned(),
            },
            // The resolver takes addresses of IPv6 without their brackets.
            host: host.trim_matches(['[', ']']).to_owned(),
            port: *port,
        },
        vhost: config.virtual_host.clone(),
        query: AMQPQueryString {
            heartbeat: Some(config.heartbeat.as_secs() as u16),
            auth_mechanism: (config.auth == Auth::External).then_some(SASLMechanism::External),
            ..Default::default()
        },
    }
}
