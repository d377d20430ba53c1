//! Whether a worker lives and is ready.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Error, Group, Kind, Topic};
use anybroker_worker::{Failure, Happening, Health, Loop, Observer, Phase, Status, Worker};

use crate::common::{Seen, broker, dead, group, keyed, noting, publish, settled, subscription, topic};
use crate::mute::Mute;

#[tokio::test(start_paused = true)]
async fn a_worker_is_ready_once_open_and_no_more_when_it_drains() {
    let (broker, seen, health) = (broker("").await, Seen::default(), Health::new());
    publish(&broker, keyed(1, 1)).await;
    let handler = noting(&seen, |_| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    });
    let worker = Worker::builder(broker).observe(health.clone()).subscribe(subscription(), handler);
    let (end, ended) = tokio::sync::oneshot::channel();
    let running = tokio::spawn(worker.build().unwrap().run_until(async move { _ = ended.await }));
    seen.wait(1).await;
    // The probe comes with the first turn of the loop.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let report = health.report();
    assert_eq!((report.status, report.live), (Status::Ready, true), "{report:?}");
    assert_eq!(report.subscriptions[0].phase, Phase::Open);
    assert!(report.broker.unwrap().answered);
    end.send(()).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let report = health.report();
    assert_eq!((report.status, report.live), (Status::NotReady, true), "{report:?}");
    assert_eq!(report.subscriptions[0].phase, Phase::Draining);
    running.await.unwrap().unwrap();
    let report = health.report();
    assert_eq!((report.live, report.subscriptions[0].phase), (false, Phase::Closed), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_nothing_to_do_lives_for_hours() {
    let (broker, health) = (broker("").await, Health::new());
    let handler = noting(&Seen::default(), |_| async { Ok(()) });
    let worker = Worker::builder(broker).observe(health.clone()).subscribe(subscription(), handler);
    let watched = async {
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(77)).await;
            assert!(health.is_live() && health.is_ready(), "{:?}", health.report());
        }
    };
    worker.build().unwrap().run_until(watched).await.unwrap();
}

/// Kills the task that settles, as an adapter with a mistake would.
struct Killer;

impl Observer for Killer {
    fn observe(&self, _: &Topic, _: &Group, happening: &Happening<'_>) {
        assert!(!matches!(happening, Happening::Settled { .. }), "on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_settling_has_died_does_not_live() {
    let (broker, seen, health) = (broker("").await, Seen::default(), Health::new());
    publish(&broker, keyed(1, 1)).await;
    let worker = Worker::builder(broker).observe(health.clone()).observe(Arc::new(Killer));
    let worker = worker.shutdown(Duration::ZERO);
    let worker = worker.subscribe(subscription(), noting(&seen, |_| async { Ok(()) })).build().unwrap();
    let watched = async {
        seen.wait(1).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(health.is_live());
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(!health.is_live() && !health.is_ready(), "{:?}", health.report());
    };
    let _ = worker.run_until(watched).await;
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_is_silent_is_dead_until_it_is_heard() {
    let health = Health::new();
    let tell = |happening: Happening<'_>| health.observe(&topic(), &group(), &happening);
    tell(Happening::Opened);
    tokio::time::advance(Duration::from_secs(25)).await;
    tell(Happening::Beats(Loop::Settling));
    assert!(health.is_live());
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(!health.is_live());
    tell(Happening::Beats(Loop::Receiving));
    assert!(health.is_live());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_answer_makes_the_worker_unready_and_not_dead() {
    let (broker, seen, health) = (broker("").await, Seen::default(), Health::new());
    publish(&broker, keyed(1, 3)).await;
    let worker = Worker::builder(Arc::new(Mute(broker.clone()))).observe(health.clone());
    let worker = worker.subscribe(subscription(), noting(&seen, |_| async { Ok(()) })).build().unwrap();
    let watched = async {
        settled(&broker).await;
        assert!(health.is_ready(), "not asked yet: {:?}", health.report());
        tokio::time::sleep(Duration::from_secs(6)).await;
        let report = health.report();
        assert_eq!((report.status, report.live), (Status::NotReady, true), "{report:?}");
        let broker = report.broker.unwrap();
        assert!(!broker.answered && broker.error.unwrap().contains("5s"));
    };
    worker.run_until(watched).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refused_dead_letters_are_shown_until_one_is_taken() {
    let (broker, seen, health) = (broker("").await, Seen::default(), Health::new());
    publish(&broker, keyed(1, 1)).await;
    let handler = noting(&seen, |_| async { Err(Failure::permanent("no such order")) });
    let worker = Worker::builder(broker.clone()).observe(health.clone()).subscribe(subscription(), handler);
    let refused =
        Error::new(Kind::NotFound, "publish", "the dead letter topic is away").on(dead().to_string());
    health.observe(&topic(), &group(), &Happening::Opened);
    health.observe(&topic(), &group(), &Happening::DeadLetterRefused(&refused));
    tokio::time::advance(Duration::from_secs(7)).await;
    let report = health.report();
    assert_eq!(report.status, Status::Degraded);
    assert_eq!(report.subscriptions[0].dead_letters_refused_for, Some(Duration::from_secs(7)));
    assert!(report.subscriptions[0].last_error.as_ref().unwrap().text.contains("away"));
    worker.build().unwrap().run_until(settled(&broker)).await.unwrap();
    assert_eq!(health.report().subscriptions[0].dead_letters_refused_for, None);
}

#[tokio::test(start_paused = true)]
async fn the_error_that_ended_a_subscription_is_shown() {
    let (broker, seen, health) = (broker("").await, Seen::default(), Health::new());
    publish(&broker, keyed(1, 1)).await;
    let handler = noting(&seen, |_| async { Err(Failure::fatal("the licence has run out")) });
    let worker = Worker::builder(broker).observe(health.clone()).subscribe(subscription(), handler);
    worker.build().unwrap().run_until(std::future::pending()).await.unwrap_err();
    let report = health.report();
    assert!(!report.live);
    assert!(report.subscriptions[0].last_error.as_ref().unwrap().text.contains("cannot go on"), "{report:?}");
}
