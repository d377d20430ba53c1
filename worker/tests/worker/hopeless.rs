//! Messages that no attempt can help.

use anybroker_core::{Kind, Message, Subscription};
use anybroker_worker::{Failure, Handling, Hopeless, Worker};

use crate::common::{
    Seen, bare_broker, broker, group, keyed, letters, noting, publish, settled, subscription, topic,
};

fn permanent(seen: &Seen) -> crate::common::Service {
    noting(seen, |delivery| async move {
        match delivery.payload() == "1" {
            true => Err(Failure::permanent("no such order")),
            false => Ok(()),
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_one_attempt_and_one_dead_letter() {
    let (broker, seen) = (broker("").await, Seen::default());
    let mut messages = keyed(1, 3);
    messages[1] = Message::new("1").with_key("k0").with_header("tenant", "acme").with_id("m-1");
    publish(&broker, messages).await;
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), permanent(&seen)).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    assert_eq!(seen.all().len(), 3);
    let letters = letters(&broker).await;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.key(), letter.payload().as_ref()), (Some(&b"k0"[..]), &b"1"[..]));
    assert_eq!(letter.header("tenant"), Some(&b"acme"[..]));
    assert_eq!(letter.id(), Some("m-1".into()));
}

#[tokio::test(start_paused = true)]
async fn without_a_dead_letter_topic_the_worker_ends_and_nothing_is_lost() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(1, 3)).await;
    let bare = Subscription::new(topic(), group());
    let worker = Worker::builder(broker.clone()).subscribe(bare, permanent(&seen)).build().unwrap();
    let error = worker.run_until(std::future::pending()).await.unwrap_err();
    let text = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
    assert!(text.contains("no such order") && text.contains("no dead letter topic"), "{text}");
    assert_eq!(broker.admin().backlog(&topic(), &group()).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn hopeless_messages_are_discarded_by_name() {
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, keyed(1, 3)).await;
    let handling = Handling::default().hopeless(Hopeless::Discard);
    let worker = Worker::builder(broker.clone()).handling(handling);
    let worker = worker.subscribe(Subscription::new(topic(), group()), permanent(&seen)).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    assert_eq!(seen.all().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_topic_that_is_not_there_is_an_error_at_the_start() {
    let broker = bare_broker("?topology=check").await;
    let topology = anybroker_core::Topology::new(topic()).group(group());
    broker.admin().declare(&topology).await.unwrap();
    let worker =
        Worker::builder(broker).subscribe(subscription(), permanent(&Seen::default())).build().unwrap();
    let error = worker.run_until(std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_policy_must_leave_the_counting_to_the_worker() {
    let broker = broker("").await;
    let mut two = subscription();
    two.dead_letter.as_mut().unwrap().max_attempts = Some(3);
    let error = Worker::builder(broker).subscribe(two, permanent(&Seen::default())).build().unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
}
