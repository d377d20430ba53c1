//! Whether a broker answers, asked in its own protocol. A closed port, a silent one and a wrong answer each
//! give their reason.

pub(crate) mod amqp;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod nats;
pub(crate) mod postgres;

use std::{future::Future, io, net::Ipv4Addr, time::Duration};

use tokio::net::TcpStream;

/// How long one probe may take.
const WITHIN: Duration = Duration::from_secs(2);

/// Gives `exchange` a connection to this port and a deadline.
async fn exchange<T, F>(port: u16, exchange: impl FnOnce(TcpStream) -> F) -> Result<T, String>
where
    F: Future<Output = io::Result<T>>,
{
    let connected = async { exchange(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?).await };
    match tokio::time::timeout(WITHIN, connected).await {
        Ok(answer) => answer.map_err(|error| format!("port {port}: {error}")),
        Err(_) => Err(format!("port {port}: no answer within {WITHIN:?}")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// A server that reads `expects` bytes and answers with `answer`, once; returns its port.
    pub(crate) async fn server(expects: usize, answer: Vec<u8>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.read_exact(&mut vec![0; expects]).await.unwrap();
            socket.write_all(&answer).await.unwrap();
        });
        port
    }

    #[tokio::test]
    async fn a_silent_server_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::time::pause();
        let reason = super::amqp::answers(port).await.unwrap_err();
        assert!(reason.contains("no answer within"), "{reason}");
    }
}
