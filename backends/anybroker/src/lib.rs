//! One messaging API over Kafka, RabbitMQ and an in-memory broker: **the same guarantees, or a refusal**.
//!
//! A service starts with `memory://`, which needs no set-up and has the real semantics, and moves to the broker that
//! its company runs by changing a URL and a Cargo feature, never its code. What holds there is data
//! ([`Guarantees`]), probed from the server: an application states what it needs ([`Requirements`]), and opening fails
//! with a table of what is missing and what would satisfy it.
//!
//! ```
//! use anybroker::{ConsumerExt, Group, Message, PublisherExt, PublisherOptions, Subscription, Topic};
//!
//! # fn main() -> anybroker::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(program())
//! # }
//! async fn program() -> anybroker::Result<()> {
//!     // ANYBROKER_URL=kafka://localhost:9092 moves it to Kafka.
//!     let broker = anybroker::connect_from_env("memory://").await?;
//!     let topic = Topic::new("orders")?;
//!     let needs = "ordering=key,delivery=at-least-once".parse()?;
//!
//!     let publisher = broker.publisher(PublisherOptions::new(topic.clone())).await?;
//!     publisher.publish(Message::new("3 apples").with_key("order-7")).await?;
//!
//!     let billing = Subscription::new(topic, Group::new("billing")?).require(needs);
//!     let mut consumer = broker.consumer(billing).await?;
//!     let delivery = consumer.next().await?;
//!     assert_eq!(delivery.payload(), "3 apples");
//!     delivery.ack().await?;
//!
//!     consumer.close().await?;
//!     broker.close().await
//! }
//! ```
//!
//! # Features
//!
//! | feature | broker | URLs | needs |
//! |---|---|---|---|
//! | `memory` (default) | in this process, for tests and first steps | `memory://name` | nothing |
//! | `sqlite` (default) | one file on this machine, durable, for several processes | `sqlite:///path/file.db` | a C compiler |
//! | `kafka` | Apache Kafka 4 | `kafka://host:9092`, `kafka+ssl://` | a C compiler, make, pkg-config, the headers of OpenSSL and zlib |
//! | `rabbitmq` | RabbitMQ 3.10 to 4 | `amqp://user:password@host:5672/vhost`, `amqps://` | a C compiler |
//! | `nats` | NATS 2.10 or later: JetStream, and core NATS | `nats://host:4222`, `tls://`, `nats+core://` | a C compiler |
//! | `sqs` | Amazon SQS FIFO | `sqs://region` | a C compiler |
//! | `pulsar` | Apache Pulsar 3 and 4 | `pulsar://host:6650/tenant/namespace`, `pulsar+ssl://` | a C compiler, protoc |
//!
//! Of the [`worker`]: `endpoint` answers `/livez`, `/readyz` and `/metrics` over HTTP; `otel` sends spans and metrics to
//! OpenTelemetry, and lets traces travel with the messages. Of the patterns: `patterns` keeps their tables in SQLite, `postgres`
//! in PostgreSQL; `claim-check` keeps large payloads in files, `s3` in Amazon S3; `schema` derives JSON
//! Schemas from the types of events; `schema-registry` keeps them on a server that speaks the protocol of Confluent's, `glue` in
//! AWS Glue.
//!
//! [`backend`] has one module for each that is built in, with its typed configuration, whose fields are the URL's
//! parameters. An unknown parameter is an error.
//!
//! # Where to look
//!
//! - Publishing: [`Message`], [`PublisherOptions`], [`Publisher`], [`PublisherExt`]; what a failure means: [`Fate`].
//! - Consuming: [`Subscription`], [`Consumer`], [`ConsumerExt`], [`Delivery`].
//! - Typed payloads: [`Event`].
//! - A service of handlers, with keyed concurrency, retries and shutdown: [`worker`]; tested in virtual time: [`testing`].
//! - Topics and groups: [`Topology`], [`Admin`].
//! - Your own backend: [`Backend`] and the parts in [`kit`].

mod backends;
mod connect;
mod crypto;
#[cfg(feature = "memory")]
pub mod testing;

pub use anybroker_core::*;
#[cfg(any(
    feature = "patterns",
    feature = "postgres",
    feature = "claim-check",
    feature = "schema",
    feature = "schema-registry",
    feature = "glue"
))]
pub use anybroker_patterns as patterns;
pub use anybroker_worker as worker;
pub use backends::backend;
pub use connect::{URL_VARIABLE, check, connect, connect_from_env};
pub use crypto::install_default_crypto;

/// The README's program runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadMe;
