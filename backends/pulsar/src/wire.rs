//! One connection to a broker, in Pulsar's binary protocol: <https://pulsar.apache.org/docs/developing-binary-protocol>.
//!
//! It never comes back: whoever uses it looks up everything again on the next one, and so knows what ended with it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::kit::within;
use anybroker_core::{Error, Kind, Result};
use futures::{SinkExt, StreamExt};
use pulsar::Payload;
use pulsar::message::{Codec, Message};
use pulsar::proto::{self, BaseCommand, base_command::Type};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::codec::{FramedRead, FramedWrite};

use crate::config::PulsarConfig;
use crate::error::{lost, refused};
use crate::tls::{self, Bytes};

/// Frames on their way to the socket.
const OUTGOING: usize = 1_000;
/// The version that has answers to acknowledgements; a server of a later one speaks it too.
const PROTOCOL: i32 = proto::ProtocolVersion::V19 as i32;

type Stream = Pin<Box<dyn Bytes>>;
type Reading = FramedRead<ReadHalf<Stream>, Codec>;
type Writing = FramedWrite<WriteHalf<Stream>, Codec>;

/// What the broker sends to a consumer.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "almost every event is a message")]
pub(crate) enum Event {
    Message(proto::CommandMessage, Payload),
    /// Of a failover subscription: whether this consumer is the one that gets the messages.
    Active(bool),
    /// The broker has closed it: its topic moves, or the group was moved back.
    Closed,
}

/// What the broker sends to a producer.
#[derive(Debug)]
pub(crate) enum Sent {
    Receipt(proto::CommandSendReceipt),
    Error(proto::CommandSendError),
    /// The broker has closed it: its topic moves.
    Closed,
}

/// A consumer's or producer's events, with the partition that they are of. Not bounded itself: the permits that were
/// granted and the messages that were sent are.
pub(crate) type Events<T> = (u32, mpsc::UnboundedSender<(u32, T)>);

#[derive(Default)]
struct Routes {
    requests: HashMap<u64, oneshot::Sender<BaseCommand>>,
    consumers: HashMap<u64, Events<Event>>,
    producers: HashMap<u64, Events<Sent>>,
    ended: bool,
}

/// A connection with a task that reads, writes and asks for signs of life; it ends with this.
#[derive(Debug)]
pub(crate) struct Wire {
    outgoing: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
    task: AbortHandle,
    ids: AtomicU64,
    deadline: Duration,
    /// `Pulsar Server4.2.4` and the like.
    pub(crate) version: String,
    /// The largest message that the broker takes.
    pub(crate) message_bytes: usize,
}

struct Shared {
    routes: Mutex<Routes>,
    life: Mutex<Life>,
}

/// Signs of life. What was in the socket's buffer while this process was stopped is none of the broker's: only an answer
/// tells that it was there after it was asked.
#[derive(Clone, Copy)]
struct Life {
    /// When the last thing came that was read.
    read: Instant,
    /// When the ping was sent that is not answered yet.
    asked: Option<Instant>,
    /// When the last ping was sent that was answered.
    confirmed: Instant,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    /// Connects and logs in. Behind a proxy, `broker` names the one to reach.
    ///
    /// # Errors
    /// `PermissionDenied`, `Disconnected`, `TimedOut`, what TLS fails with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn open(
        config: &PulsarConfig,
        host: &str,
        port: u16,
        broker: Option<String>,
    ) -> Result<Self> {
        let opened = within(config.deadline, "connect", Self::handshake(config, host, port, broker)).await;
        opened.map_err(|error| error.on(config.place()))
    }

    async fn handshake(config: &PulsarConfig, host: &str, port: u16, broker: Option<String>) -> Result<Self> {
        let stream = tls::connect(host, port, config.tls.then_some(&config.tls_files)).await?;
        let (reading, writing) = tokio::io::split(stream);
        let mut reading = FramedRead::new(reading, Codec);
        let mut writing = FramedWrite::new(writing, Codec);
        writing.send(connect(config, broker)).await.map_err(broken)?;
        let answer = match reading.next().await {
            Some(answer) => answer.map_err(broken)?.command,
            None => return Err(lost("connect")),
        };
        if let Some(error) = answer.error {
            return Err(refused("connect", error.error, &error.message));
        }
        let connected = answer.connected.ok_or_else(|| {
            Error::new(Kind::Unexpected, "connect", "what answers there is no Pulsar broker")
        })?;
        let now = Instant::now();
        let life = Mutex::new(Life { read: now, asked: None, confirmed: now });
        let shared = Arc::new(Shared { routes: Mutex::default(), life });
        let (outgoing, frames) = mpsc::channel(OUTGOING);
        let (end, ended) = watch::channel(false);
        let pongs = outgoing.downgrade();
        let serve = serve(reading, writing, frames, pongs, shared.clone(), config.clone());
        let owned = shared.clone();
        let task = tokio::spawn(async move {
            let why = serve.await;
            tracing::debug!(%why, "a connection has ended");
            end_routes(&owned);
            end.send_replace(true);
        });
        Ok(Wire {
            outgoing,
            shared,
            ended,
            task: task.abort_handle(),
            ids: AtomicU64::new(1),
            deadline: config.deadline,
            version: connected.server_version,
            message_bytes: connected.max_message_size.map_or(DEFAULT_MESSAGE_BYTES, |n| n.max(0) as usize),
        })
    }

    /// A number for a request, a consumer or a producer.
    pub(crate) fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Waits for its end.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn end(&self) {
        let mut ended = self.ended.clone();
        // An error means that the task was ended, and the connection with it.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// When the broker certainly counted us as there.
    pub(crate) fn confirmed(&self) -> Instant {
        self.shared.life().confirmed
    }

    /// Waits for room for a frame.
    ///
    /// # Errors
    /// `Disconnected` if the connection has ended.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing was sent.
    pub(crate) async fn room(&self) -> Result<mpsc::Permit<'_, Message>> {
        self.outgoing.reserve().await.map_err(|_| lost("send"))
    }

    /// Sends a command that has no answer.
    ///
    /// # Errors
    /// `Disconnected` if the connection has ended.
    ///
    /// # Cancel safety
    /// Cancel safe: it was not sent.
    pub(crate) async fn send(&self, command: BaseCommand) -> Result<()> {
        self.room().await?.send(Message { command, payload: None });
        Ok(())
    }

    /// Sends a request and waits for its answer; `make` gets its number.
    ///
    /// # Errors
    /// `TimedOut`, `Disconnected`, and what the broker refuses with.
    ///
    /// # Cancel safety
    /// A cancelled request may have been applied.
    pub(crate) async fn request(
        &self,
        operation: &'static str,
        make: impl FnOnce(u64) -> BaseCommand,
    ) -> Result<BaseCommand> {
        let id = self.id();
        let (answer, answered) = oneshot::channel();
        {
            let mut routes = self.shared.routes();
            if routes.ended {
                return Err(lost(operation));
            }
            routes.requests.insert(id, answer);
        }
        let asked = within(self.deadline, operation, async {
            self.send(make(id)).await.map_err(|_| lost(operation))?;
            answered.await.map_err(|_| lost(operation))
        })
        .await;
        self.shared.routes().requests.remove(&id);
        let answer = asked?;
        match answer.error {
            Some(error) => Err(refused(operation, error.error, &error.message)),
            None => Ok(answer),
        }
    }

    /// Gives the events of a consumer to `events`.
    pub(crate) fn listen_as_consumer(&self, consumer: u64, events: Events<Event>) {
        self.shared.routes().consumers.insert(consumer, events);
    }

    /// Gives the events of a producer to `events`.
    pub(crate) fn listen_as_producer(&self, producer: u64, events: Events<Sent>) {
        self.shared.routes().producers.insert(producer, events);
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// `TimedOut`, `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn ping(&self) -> Result<Duration> {
        let asked = Instant::now();
        // Any request has the broker answer; this one needs no permission.
        self.request("health", |request_id| proto::BaseCommand {
            r#type: Type::GetTopicsOfNamespace as i32,
            get_topics_of_namespace: Some(proto::CommandGetTopicsOfNamespace {
                request_id,
                namespace: "public/default".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        })
        .await
        .map(drop)
        .or_else(|error| if error.kind() == Kind::PermissionDenied { Ok(()) } else { Err(error) })?;
        Ok(asked.elapsed())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a broker takes that says nothing of it.
const DEFAULT_MESSAGE_BYTES: usize = 5 << 20;

fn broken(error: pulsar::error::ConnectionError) -> Error {
    let said = error.to_string();
    if let Some(refused) = anybroker_core::kit::tls_failure("connect", &said) {
        return refused;
    }
    Error::new(Kind::Disconnected, "connect", "the connection broke").with_source(error)
}

/// Everybody who waits for something learns that nothing comes.
fn end_routes(shared: &Shared) {
    let mut routes = shared.routes();
    *routes = Routes { ended: true, ..Routes::default() };
}

fn connect(config: &PulsarConfig, proxy_to_broker_url: Option<String>) -> Message {
    let (method, data) = login(config);
    let connect = proto::CommandConnect {
        client_version: format!("{} {}", config.name, env!("CARGO_PKG_VERSION")),
        auth_method_name: method,
        auth_data: data,
        protocol_version: Some(PROTOCOL),
        proxy_to_broker_url,
        ..Default::default()
    };
    command(BaseCommand { r#type: Type::Connect as i32, connect: Some(connect), ..Default::default() })
}

fn login(config: &PulsarConfig) -> (Option<String>, Option<Vec<u8>>) {
    match (&config.token, &config.tls_files.certificate) {
        (Some(token), _) => (Some("token".to_owned()), Some(token.expose().as_bytes().to_vec())),
        (None, Some(_)) => (Some("tls".to_owned()), None),
        (None, None) => (None, None),
    }
}

fn command(command: BaseCommand) -> Message {
    Message { command, payload: None }
}

fn ping() -> Message {
    let ping = Some(proto::CommandPing {});
    command(BaseCommand { r#type: Type::Ping as i32, ping, ..Default::default() })
}

fn pong() -> Message {
    let pong = Some(proto::CommandPong {});
    command(BaseCommand { r#type: Type::Pong as i32, pong, ..Default::default() })
}

/// Reads, writes and asks for signs of life until one of them fails; says why.
async fn serve(
    reading: Reading,
    writing: Writing,
    frames: mpsc::Receiver<Message>,
    replies: mpsc::WeakSender<Message>,
    shared: Arc<Shared>,
    config: PulsarConfig,
) -> Error {
    tokio::select! {
        why = read(reading, &replies, &shared, &config) => why,
        why = write(writing, frames) => why,
        why = watch_life(&replies, &shared, config.keep_alive) => why,
    }
}

async fn read(
    mut reading: Reading,
    replies: &mpsc::WeakSender<Message>,
    shared: &Shared,
    config: &PulsarConfig,
) -> Error {
    loop {
        let frame = match reading.next().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return broken(error),
            None => return Error::new(Kind::Disconnected, "connect", "the broker closed the connection"),
        };
        let is_answer = frame.command.pong.is_some();
        {
            let mut life = shared.life();
            life.read = Instant::now();
            if let Some(asked) = life.asked.take_if(|_| is_answer) {
                life.confirmed = asked;
            }
        }
        let reply = match &frame.command {
            BaseCommand { ping: Some(_), .. } => pong(),
            BaseCommand { auth_challenge: Some(challenge), .. } => respond(config, challenge),
            _ => {
                route(&mut shared.routes(), frame);
                continue;
            }
        };
        // Where there is no room, other frames are on their way, which are a sign of life too.
        if let Some(replies) = replies.upgrade() {
            let _ = replies.try_send(reply);
        }
    }
}

/// The broker asks for the login again, as it does when a token runs out.
fn respond(config: &PulsarConfig, challenge: &proto::CommandAuthChallenge) -> Message {
    let (auth_method_name, auth_data) = login(config);
    let response = proto::CommandAuthResponse {
        client_version: challenge.server_version.clone(),
        response: Some(proto::AuthData { auth_method_name, auth_data }),
        protocol_version: Some(PROTOCOL),
    };
    command(BaseCommand {
        r#type: Type::AuthResponse as i32,
        auth_response: Some(response),
        ..Default::default()
    })
}

async fn write(mut writing: Writing, mut frames: mpsc::Receiver<Message>) -> Error {
    while let Some(frame) = frames.recv().await {
        let mut next = Some(frame);
        while let Some(frame) = next {
            if let Err(error) = writing.feed(frame).await {
                return broken(error);
            }
            next = frames.try_recv().ok();
        }
        if let Err(error) = writing.flush().await {
            return broken(error);
        }
    }
    Error::new(Kind::Closed, "connect", "nobody uses the connection any more")
}

/// Asks again and again. Silence counts by how often it was waited for, so that a process that was stopped asks first.
async fn watch_life(frames: &mpsc::WeakSender<Message>, shared: &Shared, keep_alive: Duration) -> Error {
    let mut silent = 0;
    loop {
        let asked = Instant::now();
        // Where there is no room, the broker reads nothing, and that shows by its silence.
        if frames.upgrade().is_some_and(|frames| frames.try_send(ping()).is_ok()) {
            shared.life().asked.get_or_insert(asked);
        }
        tokio::time::sleep(keep_alive).await;
        silent = if shared.life().read < asked { silent + 1 } else { 0 };
        if silent >= 2 {
            let text = format!("the broker was silent for {:?}", keep_alive * 2);
            return Error::new(Kind::TimedOut, "connect", text);
        }
    }
}

/// Gives a frame to whoever waits for it. Nobody waits any more if a request was cancelled.
fn route(routes: &mut Routes, Message { command, payload }: Message) {
    if let Some(receipt) = command.send_receipt {
        tell(&routes.producers, receipt.producer_id, Sent::Receipt(receipt));
    } else if let (Some(message), Some(payload)) = (&command.message, payload) {
        tell(&routes.consumers, message.consumer_id, Event::Message(message.clone(), payload));
    } else if let Some(error) = command.send_error {
        tell(&routes.producers, error.producer_id, Sent::Error(error));
    } else if let Some(closed) = command.close_producer {
        tell(&routes.producers, closed.producer_id, Sent::Closed);
    } else if let Some(closed) = command.close_consumer {
        tell(&routes.consumers, closed.consumer_id, Event::Closed);
    } else if let Some(change) = command.active_consumer_change {
        let active = change.is_active.unwrap_or(false);
        tell(&routes.consumers, change.consumer_id, Event::Active(active));
    } else if let Some(answer) = request(&command).and_then(|id| routes.requests.remove(&id)) {
        let _ = answer.send(command);
    }
}

fn tell<T>(routes: &HashMap<u64, Events<T>>, id: u64, event: T) {
    if let Some((partition, events)) = routes.get(&id) {
        let _ = events.send((*partition, event));
    }
}

/// The number of the request that a command answers.
fn request(command: &BaseCommand) -> Option<u64> {
    None.or(command.success.as_ref().map(|c| c.request_id))
        .or(command.error.as_ref().map(|c| c.request_id))
        .or(command.producer_success.as_ref().map(|c| c.request_id))
        .or(command.lookup_topic_response.as_ref().map(|c| c.request_id))
        .or(command.partition_metadata_response.as_ref().map(|c| c.request_id))
        .or(command.get_topics_of_namespace_response.as_ref().map(|c| c.request_id))
        .or(command.ack_response.as_ref().and_then(|c| c.request_id))
}
