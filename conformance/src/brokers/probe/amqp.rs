//! AMQP 0-9-1: the protocol header, answered with `Connection.Start`.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
const METHOD_FRAME: u8 = 1;
const CONNECTION_START: [u8; 4] = [0, 10, 0, 10];
/// A frame's type, channel and size, and a method's class and id.
const START_OF_FRAME: usize = 11;

/// Whether an AMQP server on this port greets.
pub(crate) async fn answers(port: u16) -> Result<(), String> {
    super::exchange(port, greeted).await
}

async fn greeted(mut socket: TcpStream) -> io::Result<()> {
    socket.write_all(HEADER).await?;
    let mut frame = [0; START_OF_FRAME];
    socket.read_exact(&mut frame).await?;
    if frame[0] == METHOD_FRAME && frame[7..] == CONNECTION_START {
        Ok(())
    } else {
        Err(io::Error::other("the answer is not AMQP 0-9-1's"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::probe::tests::server;

    #[tokio::test]
    async fn ready_only_when_the_server_greets() {
        let start = vec![1, 0, 0, 0, 0, 1, 0, 0, 10, 0, 10];
        answers(server(HEADER.len(), start).await).await.unwrap();
        let other =
            answers(server(HEADER.len(), b"AMQP\x00\x00\x09\x01...".to_vec()).await).await.unwrap_err();
        assert!(other.contains("not AMQP 0-9-1's"), "{other}");
    }
}
