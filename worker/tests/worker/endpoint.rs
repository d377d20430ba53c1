//! The endpoint, as a TCP client sees it; in real time.

use std::net::SocketAddr;
use std::time::Duration;

use anybroker_core::Kind;
use anybroker_worker::{Endpoint, Worker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Seen, broker, keyed, noting, publish, subscription};

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let answer = ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// A worker with an endpoint, which ends with the test's own future.
async fn with_endpoint<F: Future<Output = ()>>(test: impl FnOnce(SocketAddr, Seen) -> F) -> SocketAddr {
    let (broker, seen, endpoint) =
        (broker("").await, Seen::default(), Endpoint::bind("127.0.0.1:0").unwrap());
    publish(&broker, keyed(2, 2)).await;
    let address = endpoint.address();
    let worker = Worker::builder(broker).endpoint(endpoint);
    let worker = worker.subscribe(subscription(), noting(&seen, |_| async { Ok(()) })).build().unwrap();
    worker.run_until(test(address, seen)).await.unwrap();
    address
}

#[tokio::test]
async fn probes_and_scrapes_are_answered_while_the_worker_runs() {
    let address = with_endpoint(|address, seen| async move {
        seen.wait(4).await;
        let (status, body) = get(address, "/livez").await;
        assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "{\"live\":true}"));
        let (status, body) = get(address, "/readyz?verbose").await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
        let report: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(report["status"], "ready");
        assert_eq!(report["subscriptions"][0]["topic"], "orders");
        assert_eq!(report["subscriptions"][0]["phase"], "open");
        assert_eq!(report["subscriptions"][0]["dead_letters_refused_for_seconds"], serde_json::Value::Null);
        let (status, body) = get(address, "/metrics").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(
            body.contains("anybroker_worker_received_messages_total{topic=\"orders\",group=\"billing\"} 4")
        );
        assert_eq!(get(address, "/").await.0, "HTTP/1.1 404 Not Found");
    })
    .await;
    assert!(TcpStream::connect(address).await.is_err(), "it listens after the worker has ended");
}

#[tokio::test]
async fn other_requests_are_refused() {
    with_endpoint(|address, _| async move {
        let head = ask(address, "HEAD /livez HTTP/1.1\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        let posted = ask(address, "POST /livez HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc").await;
        assert!(
            posted.starts_with("HTTP/1.1 405 ") && posted.contains("\r\nallow: GET, HEAD\r\n"),
            "{posted}"
        );
        assert!(ask(address, "hello\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
        let long = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(20_000));
        assert!(ask(address, &long).await.starts_with("HTTP/1.1 431 "));
    })
    .await;
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_keep_others_out() {
    with_endpoint(|address, _| async move {
        let mut silent = Vec::new();
        for _ in 0..40 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let began = std::time::Instant::now();
        let answered = tokio::time::timeout(Duration::from_secs(20), get(address, "/livez")).await;
        assert_eq!(answered.unwrap().0, "HTTP/1.1 200 OK");
        // Those before it were given up first.
        assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
        let mut rest = Vec::new();
        silent[0].read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    })
    .await;
}

#[test]
fn an_address_that_is_taken_is_an_error_before_anything_runs() {
    let first = Endpoint::bind("127.0.0.1:0").unwrap();
    let error = Endpoint::bind(first.address()).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
}
