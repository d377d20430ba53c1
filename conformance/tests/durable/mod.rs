//! Something on a broker that stays there, made and looked for without a client library.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use anybroker_conformance::brokers::Status;

const SILENCE: Duration = Duration::from_secs(2);

/// Something on a broker of which it can be asked whether it is there.
pub(crate) trait Durable: Sync {
    /// False if it is in the memory of the broker's process only.
    fn outlives_the_process(&self) -> bool {
        true
    }

    fn create(&self, broker: &Status) -> io::Result<()>;
    fn exists(&self, broker: &Status) -> io::Result<bool>;
}

/// A queue, by RabbitMQ's management interface.
pub(crate) struct Queue;

impl Queue {
    /// The status of the answer.
    fn request(broker: &Status, method: &str, body: &str) -> io::Result<String> {
        let mut socket = connect(broker.management_url.as_deref())?;
        let head = "/api/queues/%2f/kept HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nContent-Type: application/json";
        write!(socket, "{method} {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        let mut status = [0; 12];
        socket.read_exact(&mut status)?;
        Ok(String::from_utf8_lossy(&status[9..]).into_owned())
    }
}

impl Durable for Queue {
    fn create(&self, broker: &Status) -> io::Result<()> {
        Self::request(broker, "PUT", r#"{"durable":true}"#).map(drop)
    }

    fn exists(&self, broker: &Status) -> io::Result<bool> {
        Ok(Self::request(broker, "GET", "")? == "200")
    }
}

/// A topic, by Pulsar's admin interface.
pub(crate) struct PulsarTopic;

impl PulsarTopic {
    /// The status of the answer.
    fn request(broker: &Status, method: &str, rest: &str, within: Duration) -> io::Result<String> {
        let mut socket = connect(broker.management_url.as_deref())?;
        socket.set_read_timeout(Some(within))?;
        let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0";
        write!(socket, "{method} /admin/v2/persistent/public/default/kept{rest} {head}\r\n\r\n")?;
        let mut status = [0; 12];
        socket.read_exact(&mut status)?;
        Ok(String::from_utf8_lossy(&status[9..]).into_owned())
    }
}

impl Durable for PulsarTopic {
    fn create(&self, broker: &Status) -> io::Result<()> {
        // The first topic after a start takes its time.
        Self::request(broker, "PUT", "", 10 * SILENCE).map(drop)
    }

    fn exists(&self, broker: &Status) -> io::Result<bool> {
        Ok(Self::request(broker, "GET", "/partitions", SILENCE)? == "200")
    }
}

/// A topic, by Kafka's metadata request (version 4), which creates it if allowed to.
pub(crate) struct Topic;

impl Topic {
    const NAME: &'static [u8; 4] = b"kept";

    fn metadata(broker: &Status, create: bool) -> io::Result<Vec<u8>> {
        let mut request = vec![0, 3, 0, 4, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 1, 0, 4];
        request.extend(Self::NAME);
        request.push(create.into());
        let mut socket = connect(broker.url.as_deref())?;
        socket.write_all(&[0, 0, 0, request.len() as u8])?;
        socket.write_all(&request)?;
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        socket.read_exact(&mut answer)?;
        Ok(answer)
    }
}

impl Durable for Topic {
    fn create(&self, broker: &Status) -> io::Result<()> {
        Self::metadata(broker, true).map(drop)
    }

    /// The topic's error code, 0 if it is there, and the length of its name stand before its name.
    fn exists(&self, broker: &Status) -> io::Result<bool> {
        let answer = Self::metadata(broker, false)?;
        Ok(answer.windows(8).any(|bytes| bytes[..4] == [0, 0, 0, 4] && &bytes[4..] == Self::NAME))
    }
}

/// A stream, by JetStream's API in NATS's own protocol.
pub(crate) struct Stream;

impl Stream {
    fn request(broker: &Status, action: &str, body: &str) -> io::Result<String> {
        let mut socket = connect(broker.url.as_deref())?;
        write!(socket, "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\n")?;
        write!(socket, "PUB $JS.API.STREAM.{action}.kept answer {}\r\n{body}\r\n", body.len())?;
        let mut lines = BufReader::new(socket).lines();
        while !lines.next().transpose()?.ok_or(io::ErrorKind::UnexpectedEof)?.starts_with("MSG answer ") {}
        lines.next().transpose()?.ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

impl Durable for Stream {
    fn create(&self, broker: &Status) -> io::Result<()> {
        Self::request(broker, "CREATE", r#"{"name":"kept","subjects":["kept"],"storage":"file"}"#).map(drop)
    }

    fn exists(&self, broker: &Status) -> io::Result<bool> {
        Ok(!Self::request(broker, "INFO", "")?.contains("\"error\""))
    }
}

/// A queue, by SQS's query interface.
pub(crate) struct SqsQueue;

impl SqsQueue {
    /// The status of the answer.
    fn request(broker: &Status, action: &str) -> io::Result<String> {
        let mut socket = connect(broker.url.as_deref())?;
        let path = format!("/?Action={action}&QueueName=kept&Version=2012-11-05");
        write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        socket.read_exact(&mut status)?;
        Ok(String::from_utf8_lossy(&status[9..]).into_owned())
    }
}

impl Durable for SqsQueue {
    fn outlives_the_process(&self) -> bool {
        false
    }

    fn create(&self, broker: &Status) -> io::Result<()> {
        Self::request(broker, "CreateQueue").map(drop)
    }

    fn exists(&self, broker: &Status) -> io::Result<bool> {
        Ok(Self::request(broker, "GetQueueUrl")? == "200")
    }
}

/// A table, by PostgreSQL's own client.
pub(crate) struct Table;

impl Table {
    fn sql(broker: &Status, statement: &str) -> io::Result<String> {
        let mut psql = Command::new("psql");
        psql.env("PGCONNECT_TIMEOUT", SILENCE.as_secs().to_string());
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", statement]);
        let ended = psql.arg(broker.url.as_deref().unwrap_or_default()).output()?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if ended.status.success() {
            Ok(said(&ended.stdout))
        } else {
            Err(io::Error::other(said(&ended.stderr)))
        }
    }
}

impl Durable for Table {
    fn create(&self, broker: &Status) -> io::Result<()> {
        Self::sql(broker, "create table kept ()").map(drop)
    }

    fn exists(&self, broker: &Status) -> io::Result<bool> {
        Ok(Self::sql(broker, "select to_regclass('kept') is not null")? == "t")
    }
}

fn connect(url: Option<&str>) -> io::Result<TcpStream> {
    let address = url.and_then(|url| url.rsplit(['/', '@']).next()).unwrap_or_default();
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(SILENCE))?;
    Ok(socket)
}
