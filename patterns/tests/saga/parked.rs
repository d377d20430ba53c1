//! Instances that cannot go on by themselves, and what people do with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anybroker_core::Kind;
use anybroker_patterns::saga::{Filter, Saga, State, Step, StepError};

use crate::support::on_both;
use crate::world::{Order, Sagas, World, history, quick};

on_both!(
    a_compensation_that_fails_is_parked,
    a_parked_instance_is_put_back_to_work,
    an_instance_is_abandoned,
    a_runner_records_nothing_of_what_was_abandoned,
    instances_are_listed,
    ended_instances_are_forgotten,
);

/// A saga that goes back, and whose compensation of `b` works only if allowed.
fn stuck<D: Sagas>(world: &World<D>) -> (Saga<Order, D>, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(false));
    let (allowed, here) = (works.clone(), world.clone());
    let b = Step::transaction("b", world.leaves("b")).retry(quick(2)).compensate(move |_, connection| {
        let (world, allowed) = (here.clone(), allowed.load(Ordering::Relaxed));
        Box::pin(async move {
            world.leave(connection, "undo b").await?;
            if allowed { Ok(()) } else { Err(StepError::failed("the store is closed")) }
        })
    });
    let no = Step::transaction("no", |_, _| Box::pin(async { Err(StepError::declined("no")) }));
    (world.saga().step(world.step("a")).step(b).step(no), works)
}

async fn a_compensation_that_fails_is_parked<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let (saga, _) = stuck(&world);
    world.start(&saga, "o").await;
    let shown = world.until(&saga, "o", State::Parked).await;
    let reason = "step `b` could not be compensated: the store is closed";
    assert_eq!((shown.instance.reason.as_deref(), shown.instance.due_at), (Some(reason), None));
    assert_eq!(world.effects().await, ["a", "b"], "what comes before it waits");
    let last: Vec<_> = history(&shown).split_off(5);
    assert_eq!(last, ["b compensation failed", "b compensation failed", "b parked"]);
    let step = shown.steps.iter().find(|step| step.step == "b").unwrap();
    assert_eq!(step.compensation_attempts, 2);
    let runner = world.runner(&saga).await;
    runner.run_due().await;
    assert_eq!(runner.progress().parked(), 0, "it stays parked");
}

async fn a_parked_instance_is_put_back_to_work<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let (saga, works) = stuck(&world);
    world.start(&saga, "o").await;
    world.until(&saga, "o", State::Parked).await;
    let admin = world.admin().await;
    assert!(admin.retry("order", "o").await.unwrap());
    assert!(!admin.retry("order", "o").await.unwrap(), "it is not parked any more");
    assert!(!admin.retry("order", "unknown").await.unwrap());
    // In vain at first: it is parked again, after as many attempts.
    let shown = world.until(&saga, "o", State::Parked).await;
    assert_eq!(history(&shown).iter().filter(|line| *line == "b compensation failed").count(), 4);
    works.store(true, Ordering::Relaxed);
    assert!(admin.retry("order", "o").await.unwrap());
    world.until(&saga, "o", State::Compensated).await;
    assert_eq!(world.effects().await, ["a", "b", "undo b", "undo a"]);
}

async fn an_instance_is_abandoned<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let (saga, _) = stuck(&world);
    world.start(&saga, "o").await;
    world.until(&saga, "o", State::Parked).await;
    let admin = world.admin().await;
    assert_eq!(admin.abandon("order", "o", " ").await.unwrap_err().kind(), Kind::InvalidConfiguration);
    assert!(admin.abandon("order", "o", "undone by hand").await.unwrap());
    assert!(!admin.abandon("order", "o", "again").await.unwrap());
    assert!(!admin.retry("order", "o").await.unwrap());
    let shown = world.go_on(&saga, "o").await;
    assert_eq!(shown.instance.state, State::Abandoned);
    assert_eq!(shown.instance.reason.as_deref(), Some("undone by hand"));
    assert_eq!(history(&shown).last().unwrap(), "abandoned");
    assert_eq!(world.effects().await, ["a", "b"]);
}

async fn a_runner_records_nothing_of_what_was_abandoned<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let (begun, go_on) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (at_work, goes_on) = (begun.clone(), go_on.clone());
    let slow = Step::effect("slow", move |_| {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        Box::pin(async move {
            begun.notify_one();
            go_on.notified().await;
            Ok(())
        })
    });
    let saga = world.saga().step(slow).step(world.step("after"));
    world.start(&saga, "o").await;
    let runner = world.runner(&saga).await;
    let progress = runner.progress();
    let running = tokio::spawn(async move { runner.run_due().await });
    at_work.notified().await;
    assert!(world.admin().await.abandon("order", "o", "no longer wanted").await.unwrap());
    goes_on.notify_one();
    running.await.unwrap();
    assert!(progress.last_failure().unwrap().contains("somebody by hand"), "{progress:?}");
    assert_eq!(world.show("order", "o").await.instance.state, State::Abandoned);
    assert!(world.effects().await.is_empty());
}

async fn instances_are_listed<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga = world.saga().step(world.step("a"));
    let other = Saga::new(world.database.clone(), "other", 1).step(Step::<Order, D>::wait(
        "w",
        ["e"],
        world.leaves("w"),
    ));
    for id in ["o1", "o2", "o3"] {
        world.start(&saga, id).await;
    }
    world.runner(&saga).await.run_due().await;
    world.start(&other, "o1").await;
    let admin = world.admin().await;
    let ids = async |filter: Filter, most| {
        let listed = admin.list(&filter, most).await.unwrap();
        listed.into_iter().map(|it| format!("{}/{}", it.saga, it.id)).collect::<Vec<_>>()
    };
    assert_eq!(ids(Filter::default(), 10).await, ["order/o1", "order/o2", "order/o3", "other/o1"]);
    let after = Filter { after: Some(("order".into(), "o2".into())), ..Filter::default() };
    assert_eq!(ids(after, 1).await, ["order/o3"]);
    let running = Filter { state: Some(State::Running), ..Filter::default() };
    assert_eq!(ids(running, 10).await, ["other/o1"]);
    let of = Filter { saga: Some("order".into()), ..Filter::default() };
    assert_eq!(ids(of, 2).await, ["order/o1", "order/o2"]);
}

async fn ended_instances_are_forgotten<D: Sagas>(database: D) {
    let world = World::new(database.clone()).await;
    let (saga, _) = stuck(&world);
    let done = Saga::new(database.clone(), "done", 1).step(world.step("a"));
    world.start(&saga, "o").await;
    world.until(&saga, "o", State::Parked).await;
    world.play(&done, "o").await;
    let admin = world.admin().await;
    assert_eq!(admin.forget(Duration::from_secs(3600)).await.unwrap(), 0);
    crate::support::until(|| async { admin.forget(Duration::ZERO).await.unwrap() == 1 }).await;
    assert!(admin.show("done", "o").await.unwrap().is_none());
    for table in ["saga_steps", "saga_history"] {
        let left = format!("select count(*) from {} where saga = 'done'", database.table(table));
        assert_eq!(database.count(&left).await, 0, "{table}");
    }
    assert_eq!(world.show("order", "o").await.instance.state, State::Parked, "it has not ended");
}
