//! What a run is: the same every time, told in words, bounded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::{
    Broker, ConsumerExt, Error, Group, Message, PublisherExt, PublisherOptions, Result, Subscription, Topic,
    Topology,
};
use anybroker_explore::{Cause, Like, Run, explore};

type Charged = Arc<Mutex<Vec<String>>>;

fn orders() -> Subscription {
    Subscription::new(Topic::new("orders").unwrap(), Group::new("payments").unwrap())
}

/// Takes money whenever a message comes; careful, if told so.
async fn payments(broker: Broker, charged: Charged, careful: bool) -> Result<()> {
    let mut consumer = broker.consumer(orders()).await?;
    loop {
        let delivery = consumer.next().await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let order = String::from_utf8_lossy(delivery.payload()).into_owned();
        charge(&mut charged.lock().unwrap(), order, careful);
        let _ = delivery.ack().await;
    }
}

fn charge(charged: &mut Vec<String>, order: String, careful: bool) {
    if !(careful && charged.contains(&order)) {
        charged.push(order);
    }
}

async fn shop(run: Run, careful: bool) -> Result<()> {
    let Subscription { topic, group, .. } = orders();
    run.outside().admin().declare(&Topology::new(topic.clone()).group(group)).await?;
    let charged = Charged::default();
    let till = charged.clone();
    run.process("payments", move |broker| payments(broker, till.clone(), careful));
    let publisher = run.outside().publisher(PublisherOptions::new(topic)).await?;
    for order in 0..20 {
        publisher.publish(Message::new(format!("order-{order}")).with_key(format!("k{}", order % 3))).await?;
    }
    run.drained().await;
    let mut charged = std::mem::take(&mut *charged.lock().unwrap());
    charged.sort();
    assert_eq!(charged.len(), 20, "charged: {charged:?}");
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for like in Like::ALL.into_iter().filter(|like| *like != Like::NatsCore) {
        let explorer = explore(like, |run| shop(run, false));
        for seed in 0..20 {
            assert_eq!(explorer.history(&seed.into()), explorer.history(&seed.into()), "{like} {seed}");
        }
        assert_ne!(explorer.history(&1.into()), explorer.history(&2.into()), "{like}");
    }
}

#[test]
fn a_careless_service_is_found_and_a_careful_one_is_not() {
    for like in Like::ALL.into_iter().filter(|like| *like != Like::NatsCore) {
        let failure = explore(like, |run| shop(run, false)).seeds(1_000).find().expect("it is found");
        assert_eq!((failure.cause, failure.steady), (Cause::Broken, true), "{failure}");
        let deeds = failure.schedule.only.as_ref().unwrap().len();
        assert!((1..=3).contains(&deeds), "{failure}");
        assert!(explore(like, |run| shop(run, true)).seeds(100).find().is_none(), "{like}");
    }
}

#[test]
fn a_failure_does_not_depend_on_the_number_of_threads() {
    let find = |threads| explore(Like::Kafka, |run| shop(run, false)).threads(threads).find().unwrap();
    let (one, four) = (find(1), find(4));
    assert_eq!((&one.schedule, one.to_string()), (&four.schedule, four.to_string()));
}

#[test]
fn a_schedule_replays_a_failure() {
    let explorer = explore(Like::Pulsar, |run| shop(run, false)).command("cargo test it");
    let failure = explorer.find().unwrap();
    assert_eq!(failure.replay(), format!("ANYBROKER_SEED={} cargo test it", failure.schedule));
    let again = explorer.history(&failure.replay().split(['=', ' ']).nth(1).unwrap().parse().unwrap());
    assert_eq!(again, explorer.history(&failure.schedule));
}

#[test]
fn what_comes_to_no_end_is_stuck() {
    let nobody = |run: Run| async move {
        let Subscription { topic, group, .. } = orders();
        run.outside().admin().declare(&Topology::new(topic.clone()).group(group)).await?;
        run.outside().publisher(PublisherOptions::new(topic)).await?.publish(Message::new("1")).await?;
        run.drained().await;
        Ok::<_, Error>(())
    };
    let failure = explore(Like::Kafka, nobody).seeds(1).find().unwrap();
    assert_eq!(failure.cause, Cause::Stuck);
    assert!(failure.text.contains("3600 s of virtual time"), "{failure}");
    assert!(failure.text.contains("group payments has not acknowledged 1 of topic orders"), "{failure}");

    // A loop without time.
    let hasty = |run: Run| async move {
        let publisher = run.broker("test").publisher(PublisherOptions::new(Topic::new("t")?)).await?;
        loop {
            let _ = publisher.publish(Message::new("again")).await;
        }
        #[allow(unreachable_code)]
        Ok::<_, Error>(())
    };
    let failure = explore(Like::Kafka, hasty).seeds(1).steps(10_000).find().unwrap();
    assert!(failure.text.contains("after 10000 steps"), "{failure}");
}

#[test]
fn a_panic_of_a_process_fails_the_run() {
    let failure = explore(Like::Kafka, |run: Run| async move {
        run.process("it", |_| async { panic!("an invariant") });
        run.drained().await;
    });
    let failure = failure.seeds(1).find().unwrap();
    assert!(failure.text.starts_with("an invariant\n  at "), "{failure}");
}
