//! HTTP: a request, answered with a status that says yes.

use std::io;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// Whether the server on this port answers a GET of `path` with success. `login` is the value of the
/// `Authorization` header, where it takes one.
pub(crate) async fn succeeds(port: u16, path: &str, login: Option<&str>) -> Result<(), String> {
    done(port, "GET", path, login).await
}

/// The same by any method, without a body.
pub(crate) async fn done(port: u16, method: &str, path: &str, login: Option<&str>) -> Result<(), String> {
    let status = status(port, method, path, login).await?;
    if is(&status, '2') { Ok(()) } else { Err(format!("port {port}: {method} {path} answered {status:?}")) }
}

/// Whether the server on this port refuses a GET of `path` without a login: it answers, and means it.
pub(crate) async fn refuses(port: u16, path: &str) -> Result<(), String> {
    let status = status(port, "GET", path, None).await?;
    if is(&status, '4') { Ok(()) } else { Err(format!("port {port}: {path} answered {status:?}")) }
}

async fn status(port: u16, method: &str, path: &str, login: Option<&str>) -> Result<String, String> {
    let login = login.map(|login| format!("Authorization: {login}\r\n")).unwrap_or_default();
    let headers = format!("Host: 127.0.0.1:{port}\r\nContent-Length: 0\r\n{login}Connection: close\r\n");
    let request = format!("{method} {path} HTTP/1.1\r\n{headers}\r\n");
    super::exchange(port, |socket| first_line(socket, request)).await
}

async fn first_line(mut socket: TcpStream, request: String) -> io::Result<String> {
    socket.write_all(request.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

/// `HTTP/1.1 2xx …`, where the class is `2`.
fn is(status: &str, class: char) -> bool {
    status.starts_with("HTTP/1.") && status.split(' ').nth(1).is_some_and(|code| code.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::probe::tests::server;

    #[tokio::test]
    async fn ready_only_on_success() {
        let answering = |status: &str| server(10, format!("HTTP/1.1 {status}\r\n\r\n").into_bytes());
        succeeds(answering("200 OK").await, "/api", Some("Basic x")).await.unwrap();
        let no = succeeds(answering("401 Unauthorized").await, "/api", Some("Basic x")).await.unwrap_err();
        assert!(no.contains("401 Unauthorized"), "{no}");
        refuses(answering("403 Forbidden").await, "/b").await.unwrap();
        assert!(refuses(answering("200 OK").await, "/b").await.is_err());
        assert!(refuses(answering("503 Slow Down").await, "/b").await.is_err());
    }
}
