//! Core NATS on a made-up server, which reads everything and then does what real ones seldom do: says nothing, answers in
//! another order, refuses what somebody else sent.

use std::time::{Duration, Instant};

use anybroker_core::{Error, Fate, Kind, Message, PublisherExt, SharedPublisher, Topic};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{open, publisher};

/// What the server does with the publisher's messages to itself, by which it knows what was read.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Answers,
    Silent,
    /// The first two come back in the wrong order.
    Swaps,
    /// Before the first answer it says this.
    Says(&'static str),
}

/// A publisher of `orders` on a server of this manner; its deadline is a second.
async fn publisher_on(manner: Manner) -> SharedPublisher {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // It ends with its connection.
            tokio::spawn(serve(stream, manner));
        }
    });
    let broker = open(&format!("nats+core://{address}?publish_deadline=1s")).await;
    publisher(&broker, &Topic::new("orders").unwrap()).await
}

async fn serve(stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let info = "{\"server_id\":\"S\",\"server_name\":\"s\",\"version\":\"2.15.1\",\"go\":\"\",\"host\":\"\",\"port\":0,\
                \"headers\":true,\"max_payload\":1048576,\"proto\":1}";
    write.write_all(format!("INFO {info}\r\n").as_bytes()).await?;
    let (mut line, mut subscription, mut kept) = (String::new(), String::new(), Vec::new());
    loop {
        line.clear();
        if read.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PING"] => write.write_all(b"PONG\r\n").await?,
            ["SUB", _, id] => subscription = (*id).to_owned(),
            [verb @ ("PUB" | "HPUB"), subject, .., length] => {
                let mut payload = vec![0; length.parse::<usize>().unwrap() + 2];
                read.read_exact(&mut payload).await?;
                if *verb == "PUB" && subject.starts_with("_INBOX") {
                    kept.push(answer(subject, &subscription, &payload));
                }
            }
            _ => {}
        }
        match manner {
            Manner::Silent => continue,
            Manner::Swaps if kept.len() < 2 => continue,
            Manner::Swaps => kept.reverse(),
            Manner::Says(text) if !kept.is_empty() => {
                write.write_all(format!("-ERR '{text}'\r\n").as_bytes()).await?;
            }
            Manner::Says(_) | Manner::Answers => {}
        }
        for answer in kept.drain(..) {
            write.write_all(&answer).await?;
        }
    }
}

fn answer(subject: &str, subscription: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("MSG {subject} {subscription} {}\r\n", payload.len() - 2);
    [head.as_bytes(), payload].concat()
}

/// Publishes two batches, one after the other, neither of which waits for the other.
async fn two_batches(publisher: &SharedPublisher) -> [Result<(), Error>; 2] {
    let one = |text: &str| publisher.publish(Message::new(text.to_owned()));
    let both = async { tokio::join!(one("a"), one("b")) };
    let (a, b) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("no outcome");
    [a, b].map(|outcome| outcome.map(drop).map_err(|failed| failed.into_parts().0))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_has_read_is_published() {
    let publisher = publisher_on(Manner::Answers).await;
    assert!(two_batches(&publisher).await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_waited_for_as_long_as_the_deadline() {
    let publisher = publisher_on(Manner::Silent).await;
    let began = Instant::now();
    for outcome in two_batches(&publisher).await {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.fate()), (Kind::TimedOut, Fate::Unknown), "{error}");
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_of_one_batch_and_no_other() {
    let publisher = publisher_on(Manner::Swaps).await;
    for outcome in two_batches(&publisher).await {
        assert_eq!(outcome.unwrap_err().fate(), Fate::Unknown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_of_those_who_did_what_is_refused() {
    for text in [
        "Permissions Violation for Publish to \"orders2\"",
        "Permissions Violation for Publish to \"orders.eu\"",
        "Permissions Violation for Subscription to \"orders\"",
    ] {
        let publisher = publisher_on(Manner::Says(text)).await;
        assert!(two_batches(&publisher).await.iter().all(Result::is_ok), "{text}");
    }
    let publisher = publisher_on(Manner::Says("Permissions Violation for Publish to \"orders\"")).await;
    // The client tells of refusals beside the messages: seldom one of the first batches counts as read before that.
    let mut refused = None;
    for _ in 0..100 {
        refused = two_batches(&publisher).await.into_iter().find_map(Result::err);
        if refused.is_some() {
            break;
        }
    }
    assert_eq!(refused.unwrap().kind(), Kind::PermissionDenied);
}
