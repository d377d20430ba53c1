use anybroker::{Broker, Message, PublisherExt, PublisherOptions};
use clap::Parser;
use tokio::io::AsyncReadExt;

use super::*;
use crate::args::{Cli, Command};

fn args(url: &str, options: &[&str]) -> Args {
    let words = ["anybroker", "sub", url, "t", "--group", "g"];
    match Cli::try_parse_from(words.iter().chain(options)).unwrap().command {
        Command::Sub(args) => args,
        _ => unreachable!(),
    }
}

/// A broker with `count` messages `0`, `1`, … of one key.
async fn broker(url: &str, count: usize) -> Broker {
    let broker = anybroker::connect(url).await.unwrap();
    let publisher = broker.publisher(PublisherOptions::new("t".parse().unwrap())).await.unwrap();
    for n in 0..count {
        publisher.publish(Message::new(n.to_string()).with_key("k")).await.unwrap();
    }
    broker
}

/// What one `sub` prints and how it ends.
async fn sub(broker: &Broker, url: &str, options: &[&str]) -> (Vec<usize>, Ended) {
    let args = args(url, options);
    let mut consumer = broker.consumer(args.subscription()).await.unwrap();
    let (writer, mut reader) = tokio::io::duplex(1 << 20);
    let mut reception = Reception::new(&args, consumer.settler(), Lines::to(writer));
    let ended = reception.run(&mut *consumer, &mut Signals::catch().unwrap()).await.unwrap();
    assert!(reception.finish().await.is_none());
    drop(reception);
    consumer.close().await.unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).await.unwrap();
    (text.lines().map(|line| line.rsplit("  ").next().unwrap().parse().unwrap()).collect(), ended)
}

fn range(from: usize, to: usize) -> (Vec<usize>, Ended) {
    ((from..to).collect(), Ended::Asked)
}

#[tokio::test]
async fn max_is_exact_whatever_is_held_at_once() {
    let url = "memory://max";
    let broker = broker(url, 300).await;
    assert_eq!(sub(&broker, url, &["--max", "3", "--prefetch", "2"]).await, range(0, 3));
    assert_eq!(sub(&broker, url, &["--max", "140", "--prefetch", "33"]).await, range(3, 143));
    assert_eq!(sub(&broker, url, &["--max", "7"]).await, range(143, 150));
    assert_eq!(sub(&broker, url, &["--idle", "0.1"]).await, ((150..300).collect(), Ended::Idle));
    assert_eq!(sub(&broker, url, &["--idle", "0.1"]).await, (vec![], Ended::Idle));
}

#[tokio::test]
async fn without_acknowledgement_everything_comes_again() {
    let url = "memory://no-ack";
    let broker = broker(url, 20).await;
    assert_eq!(sub(&broker, url, &["--no-ack", "--max", "5"]).await, range(0, 5));
    assert_eq!(sub(&broker, url, &["--no-ack", "--prefetch", "8"]).await, ((0..8).collect(), Ended::Full));
    assert_eq!(sub(&broker, url, &["--max", "20"]).await, range(0, 20));
}

#[tokio::test]
async fn what_nobody_read_comes_again() {
    let url = "memory://gone";
    let broker = broker(url, 5).await;
    let args = args(url, &[]);
    let mut consumer = broker.consumer(args.subscription()).await.unwrap();
    let (writer, reader) = tokio::io::duplex(64);
    drop(reader);
    let mut reception = Reception::new(&args, consumer.settler(), Lines::to(writer));
    let ended = reception.run(&mut *consumer, &mut Signals::catch().unwrap()).await.unwrap();
    assert_eq!((ended, reception.finish().await.is_none()), (Ended::Asked, true));
    consumer.close().await.unwrap();
    assert_eq!(sub(&broker, url, &["--max", "5"]).await, range(0, 5));
}

#[tokio::test]
async fn a_quiet_topic_has_its_messages_acknowledged_before_the_end() {
    let url = "memory://quiet";
    let broker = broker(url, 3).await;
    let group = "g".parse().unwrap();
    let args = args(url, &["--max", "4"]);
    let mut consumer = broker.consumer(args.subscription()).await.unwrap();
    let (writer, _reader) = tokio::io::duplex(1 << 20);
    let mut reception = Reception::new(&args, consumer.settler(), Lines::to(writer));
    let mut signals = Signals::catch().unwrap();
    let run = reception.run(&mut *consumer, &mut signals);
    let acknowledged = async {
        while broker.admin().backlog(&"t".parse().unwrap(), &group).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = run => panic!("it ended: {ended:?}"),
        done = tokio::time::timeout(Duration::from_secs(30), acknowledged) => done.unwrap(),
    }
}
