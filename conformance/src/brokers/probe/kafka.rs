//! Kafka: a metadata request, answered with at least one broker.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const METADATA: i16 = 3;
const VERSION: i16 = 1;
const CORRELATION: i32 = 7;
const CLIENT: &[u8] = b"anybroker";
/// Far more than the metadata of a test broker takes; a length beyond it is not Kafka's.
const LARGEST: i32 = 16 << 20;

/// Whether a broker on this port lists itself.
pub(crate) async fn lists_a_broker(port: u16) -> Result<(), String> {
    match super::exchange(port, brokers).await? {
        0 => Err(format!("port {port}: no broker has registered yet")),
        _ => Ok(()),
    }
}

/// How many brokers the metadata lists.
async fn brokers(mut socket: TcpStream) -> io::Result<i32> {
    socket.write_all(&request()).await?;
    let length = socket.read_i32().await?;
    let correlation = socket.read_i32().await?;
    let brokers = socket.read_i32().await?;
    if !(8..=LARGEST).contains(&length) || correlation != CORRELATION || brokers < 0 {
        return Err(io::Error::other("the answer is not Kafka's"));
    }
    Ok(brokers)
}

/// A metadata request for no topic, as Kafka frames it.
fn request() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    body.extend(CORRELATION.to_be_bytes());
    body.extend((CLIENT.len() as i16).to_be_bytes());
    body.extend(CLIENT);
    body.extend(0_i32.to_be_bytes());
    let mut frame = (body.len() as i32).to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::probe::tests::server;

    fn answer(correlation: i32, brokers: i32) -> Vec<u8> {
        [12_i32, correlation, brokers, 0].iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    #[tokio::test]
    async fn ready_only_when_a_broker_is_listed() {
        let size = request().len();
        lists_a_broker(server(size, answer(CORRELATION, 1)).await).await.unwrap();
        let none = lists_a_broker(server(size, answer(CORRELATION, 0)).await).await.unwrap_err();
        assert!(none.contains("no broker has registered"), "{none}");
        let other = lists_a_broker(server(size, answer(CORRELATION + 1, 1)).await).await.unwrap_err();
        assert!(other.contains("not Kafka's"), "{other}");
    }
}
