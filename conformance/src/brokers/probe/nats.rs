//! NATS: the server's `INFO`, and `PONG` for a `PING`.

use std::io;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// Whether a NATS server on this port greets, and lets this client in.
pub(crate) async fn answers(port: u16) -> Result<(), String> {
    super::exchange(port, let_in).await
}

async fn let_in(socket: TcpStream) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    let greeting = line(&mut socket).await?;
    if !greeting.starts_with("INFO ") {
        return Err(io::Error::other("the answer is not NATS's"));
    }
    socket.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n").await?;
    match line(&mut socket).await?.as_str() {
        "PONG" => Ok(()),
        other => Err(io::Error::other(format!("it answered {other:?} to a PING"))),
    }
}

async fn line(socket: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    socket.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::probe::tests::server;

    #[tokio::test]
    async fn ready_only_when_the_server_answers_a_ping() {
        answers(server(0, b"INFO {}\r\nPONG\r\n".to_vec()).await).await.unwrap();
        let refused = answers(server(0, b"INFO {}\r\n-ERR 'no'\r\n".to_vec()).await).await.unwrap_err();
        assert!(refused.contains("-ERR 'no'"), "{refused}");
        let other = answers(server(0, b"HTTP/1.1 200 OK\r\n".to_vec()).await).await.unwrap_err();
        assert!(other.contains("not NATS's"), "{other}");
    }
}
