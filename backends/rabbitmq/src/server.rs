//! The server's own word on its version: the greeting of AMQP 0-9-1, which lapin reads but does not pass on.

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::connection::AMQPMethod;
use anybroker_core::kit::tls_failure;
use anybroker_core::{Error, Kind, Result};
use futures::{AsyncReadExt, AsyncWriteExt};
use lapin::types::AMQPValue;
use lapin::uri::{AMQPScheme, AMQPUri};

use crate::stream::Encryption;

const GREETING: &[u8] = b"AMQP\x00\x00\x09\x01";
/// A greeting is a few hundred bytes.
const MOST: usize = 64 * 1024;

/// What a server that expects TLS answers to anything else begins with.
const TLS_ALERT: u8 = 21;

/// What the server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// As it writes it: `4.0.5`.
    pub(crate) text: Option<String>,
    number: (u32, u32),
}

impl Server {
    pub(crate) fn new(text: Option<String>) -> Self {
        let mut numbers = text.as_deref().unwrap_or("").split('.').map(|part| part.parse().unwrap_or(0));
        let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Server { text, number }
    }

    /// Whether it is at least this version. A server that names none is taken for the oldest.
    pub(crate) fn since(&self, major: u32, minor: u32) -> bool {
        self.number >= (major, minor)
    }

    /// `max_message_size` unless the operator changed it; no request of AMQP tells the value in force.
    /// 3.8 to 3.13: 128 MiB; since 4.0: 16 MiB (<https://www.rabbitmq.com/docs/configure>).
    pub(crate) fn default_message_bytes(&self) -> usize {
        let oldest = self.number != (0, 0) && !self.since(4, 0);
        if oldest { 128 << 20 } else { 16 << 20 }
    }
}

/// Asks the server at `uri`, on a connection of its own that ends with the answer.
///
/// # Errors
/// `Disconnected`, or `Unexpected` if something else than RabbitMQ answers.
///
/// # Cancel safety
/// Cancel safe.
pub(crate) async fn ask(uri: &AMQPUri, encryption: &Encryption) -> Result<Server> {
    let broken = |e: std::io::Error| broken(uri, e);
    let mut stream = encryption.open(uri).await.map_err(broken)?;
    stream.write_all(GREETING).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut head = [0; 7];
    stream.read_exact(&mut head).await.map_err(broken)?;
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    if head[0] == TLS_ALERT {
        let text = "the port expects TLS, and the connection is not encrypted";
        return Err(Error::new(Kind::InvalidConfiguration, "connect", text).advice("use the scheme amqps"));
    }
    if head[0] != 1 || length > MOST {
        return Err(Error::new(Kind::Unexpected, "connect", "the server does not speak AMQP 0-9-1"));
    }
    let mut frame = head.to_vec();
    frame.resize(head.len() + length + 1, 0);
    stream.read_exact(&mut frame[head.len()..]).await.map_err(broken)?;
    Ok(Server::new(version(&frame)))
}

fn broken(uri: &AMQPUri, error: std::io::Error) -> Error {
    if let Some(refused) = tls_failure("connect", &error.to_string()) {
        return refused;
    }
    let hung_up = error.kind() == std::io::ErrorKind::UnexpectedEof
        || error.kind() == std::io::ErrorKind::ConnectionReset;
    if hung_up && uri.scheme == AMQPScheme::AMQP {
        let text = "the server hung up without a greeting";
        return Error::new(Kind::Disconnected, "connect", text)
            .with_source(error)
            .advice("if the port expects TLS, use the scheme amqps");
    }
    Error::new(Kind::Disconnected, "connect", "the server cannot be reached").with_source(error)
}

fn version(frame: &[u8]) -> Option<String> {
    let (_, frame) = parse_frame(frame).ok()?;
    let AMQPFrame::Method(_, AMQPClass::Connection(AMQPMethod::Start(start))) = frame else { return None };
    match start.server_properties.inner().get("version")? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        let server = |text: &str| Server::new(Some(text.to_owned()));
        assert!(server("3.13.1").since(3, 10) && !server("3.9.2").since(3, 10));
        assert_eq!(server("3.10.8").default_message_bytes(), 128 << 20);
        assert_eq!(server("4.0.5").default_message_bytes(), 16 << 20);
        assert_eq!(Server::new(None).default_message_bytes(), 16 << 20);
    }
}
