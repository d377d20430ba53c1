//! A consumer in another process: idle it does nothing, and a commit wakes it.

use std::time::{Duration, Instant};

use anybroker_core::{ConsumerExt as _, PublisherExt as _};

use crate::process::{Process, tell};
use crate::support::{Place, messages, open, publisher, subscription};

/// Tells that something has come, as soon as it has.
pub(crate) async fn tell_when_it_comes(url: &str) {
    let broker = open(url).await.unwrap();
    let mut consumer = broker.consumer(subscription()).await.unwrap();
    tell("waiting");
    loop {
        let delivery = consumer.next().await.unwrap();
        tell("came");
        delivery.ack().await.unwrap();
    }
}

/// Processor time that a process has used.
#[cfg(target_os = "linux")]
fn used(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_consumer_sleeps_and_a_commit_elsewhere_wakes_it() {
    let place = Place::new();
    let broker = place.open("").await;
    let publisher = publisher(&broker).await;
    let mut process = Process::start("wait", &place.url(""));
    assert_eq!(process.line().as_deref(), Some("waiting"));
    publisher.publish_batch(messages(0, 1)).await;
    assert_eq!(process.line().as_deref(), Some("came"));

    let before = used(process.number());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = used(process.number()) - before;
    assert!(idle <= Duration::from_millis(90), "it used {idle:?} in 3 s while nothing happened");

    let mut waits: Vec<_> = Vec::new();
    for at in 1..21 {
        let began = Instant::now();
        publisher.publish_batch(messages(at, at + 1)).await;
        assert_eq!(process.line().as_deref(), Some("came"));
        waits.push(began.elapsed());
    }
    waits.sort();
    println!("woken after {:?} (median), {:?} (longest); idle: {idle:?} in 3 s", waits[10], waits[19]);
    // Without being woken it looks once a second: 500 ms in the middle.
    assert!(waits[10] < Duration::from_millis(150), "{waits:?}");
}
