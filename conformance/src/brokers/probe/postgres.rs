//! PostgreSQL: a start-up message, answered with the request to log in.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A message's type and length.
const HEAD: usize = 5;
/// A refusal is a few short texts.
const LONGEST: usize = 4096;

/// Whether a PostgreSQL server on this port lets clients log in. One that still recovers its data refuses with its reason.
pub(crate) async fn answers(port: u16) -> Result<(), String> {
    super::exchange(port, let_in).await
}

async fn let_in(mut socket: TcpStream) -> io::Result<()> {
    socket.write_all(&start_up()).await?;
    let mut head = [0; HEAD];
    socket.read_exact(&mut head).await?;
    let [kind, length @ ..] = head;
    let length = (u32::from_be_bytes(length) as usize).saturating_sub(4);
    if !matches!(kind, b'R' | b'E') || length > LONGEST {
        return Err(io::Error::other("the answer is not PostgreSQL's"));
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    if kind == b'R' { Ok(()) } else { Err(io::Error::other(refusal(&body))) }
}

/// Version 3.0 of the protocol, and who logs in.
fn start_up() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(4 + body.len()).unwrap_or_default();
    [&length.to_be_bytes()[..], body].concat()
}

/// The text of an error: its fields end with zeroes and begin with a letter, `M` for the message.
fn refusal(fields: &[u8]) -> String {
    let message = fields.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"M"));
    String::from_utf8_lossy(message.unwrap_or(b"it refused without a reason")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::probe::tests::server;

    #[tokio::test]
    async fn ready_only_when_the_server_asks_for_the_login() {
        let expects = start_up().len();
        answers(server(expects, b"R\0\0\0\x08\0\0\0\x05".to_vec()).await).await.unwrap();
        let refusal = b"E\0\0\0\x2bSFATAL\0C57P03\0Mthe database starts up\0\0".to_vec();
        let starting = answers(server(expects, refusal).await).await.unwrap_err();
        assert!(starting.ends_with(": the database starts up"), "{starting}");
        let other =
            answers(server(expects, b"HTTP/1.1 400 Bad Request\r\n".to_vec()).await).await.unwrap_err();
        assert!(other.contains("not PostgreSQL's"), "{other}");
    }
}
