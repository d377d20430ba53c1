//! As much of HTTP/1.1 as probes and scrapers need: one GET or HEAD a connection, which is closed afterwards.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest request that is read.
const LONGEST: usize = 8 * 1024;

/// What is answered.
#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    media_type: &'static str,
    body: String,
}

impl Response {
    pub(super) fn text(status: u16, body: &str) -> Self {
        Response { status, media_type: "text/plain; charset=utf-8", body: body.to_owned() }
    }

    pub(super) fn metrics(body: String) -> Self {
        Response { status: 200, media_type: "text/plain; version=0.0.4; charset=utf-8", body }
    }

    pub(super) fn json(status: u16, value: &impl serde::Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(body) => Response { status, media_type: "application/json", body },
            Err(_) => Response::text(500, "the report cannot be written\n"),
        }
    }

    fn head(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            _ => "Service Unavailable",
        };
        let allow = if self.status == 405 { "allow: GET, HEAD\r\n" } else { "" };
        format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: {}\r\ncontent-length: {}\r\n{allow}cache-control: no-store\r\nconnection: close\r\n\r\n",
            self.status,
            self.media_type,
            self.body.len()
        )
    }
}

/// Answers one request.
pub(super) async fn serve(mut stream: TcpStream, to: impl Fn(&str) -> Response) -> io::Result<()> {
    let Some(head) = read_head(&mut stream).await? else { return Ok(()) };
    let (response, with_body) = match parse(&head) {
        Ok(("GET", path)) => (to(path), true),
        Ok(("HEAD", path)) => (to(path), false),
        Ok(_) => (Response::text(405, "only GET and HEAD\n"), true),
        Err(refused) => (refused, true),
    };
    stream.write_all(response.head().as_bytes()).await?;
    if with_body {
        stream.write_all(response.body.as_bytes()).await?;
    }
    stream.shutdown().await?;
    // To close with something unread would take the answer away from the client.
    tokio::io::copy(&mut stream.take(8 * LONGEST as u64), &mut tokio::io::sink()).await?;
    Ok(())
}

/// The request up to the empty line, or the most of it that is read; none if the client goes away before.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(1024);
    let mut limited = stream.take(LONGEST as u64);
    while !is_complete(&head) && head.len() < LONGEST {
        if limited.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

fn is_complete(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n")
}

/// Method and path.
fn parse(head: &[u8]) -> Result<(&str, &str), Response> {
    if !is_complete(head) {
        return Err(Response::text(431, "the request is longer than 8 KiB\n"));
    }
    let line = head.split(|byte| *byte == b'\r').next().and_then(|line| str::from_utf8(line).ok());
    let mut words = line.unwrap_or_default().split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) if target.starts_with('/') => {
            Ok((method, target.split('?').next().unwrap_or_default()))
        }
        _ => Err(Response::text(400, "this is no HTTP/1.1 request\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_line_is_read() {
        let parsed = |text: &str| {
            parse(text.as_bytes())
                .map_err(|refused| refused.status)
                .map(|it| (it.0.to_owned(), it.1.to_owned()))
        };
        let get = |path: &str| Ok(("GET".to_owned(), path.to_owned()));
        assert_eq!(parsed("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"), get("/livez"));
        assert_eq!(parsed("GET /livez?verbose HTTP/1.0\r\n\r\n"), get("/livez"));
        for bad in [
            "GET /livez\r\n\r\n",
            "\r\n\r\n",
            "GET livez HTTP/1.1\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "A B C D\r\n\r\n",
        ] {
            assert_eq!(parsed(bad), Err(400), "{bad:?}");
        }
        assert_eq!(parsed("GET /livez HTTP/1.1\r\nhost: x\r\n"), Err(431));
    }
}
