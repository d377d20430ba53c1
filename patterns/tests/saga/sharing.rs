//! Several runners of one database.

use std::sync::Arc;
use std::time::Duration;

use anybroker_patterns::saga::{RunnerOptions, SagaRunner, State, Step};

use crate::support::{LONG, on_both};
use crate::world::{Order, Sagas, World};

on_both!(runners_share_the_instances, a_runner_that_dies_is_replaced, a_runner_ends_what_it_has_begun);

async fn runners_share_the_instances<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga =
        world.saga().step(world.step("a")).together([world.step("b"), world.step("c")]).step(world.step("d"));
    const INSTANCES: usize = 40;
    for number in 0..INSTANCES {
        world.start(&saga, &format!("o{number}")).await;
    }
    let runners = [world.runner(&saga).await, world.runner(&saga).await, world.runner(&saga).await];
    let [a, b, c] = &runners;
    tokio::join!(a.run_due(), b.run_due(), c.run_due());
    let ended: Vec<_> = runners.iter().map(|runner| runner.progress().ended()).collect();
    assert_eq!(ended.iter().sum::<u64>(), INSTANCES as u64, "{ended:?}");
    assert!(ended.iter().filter(|ended| **ended > 0).count() > 1, "one did it all: {ended:?}");
    let effects = world.effects().await;
    assert_eq!(effects.len(), 4 * INSTANCES);
}

async fn a_runner_that_dies_is_replaced<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let begun = Arc::new(tokio::sync::Notify::new());
    let started = begun.clone();
    let step = Step::<Order, D>::effect("slow", move |step| {
        let begun = begun.clone();
        Box::pin(async move {
            if step.attempt() == 1 {
                begun.notify_one();
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    });
    let saga = world.saga().step(world.step("a")).step(step).step(world.step("b"));
    world.start(&saga, "o").await;
    let options = RunnerOptions { lease: Duration::from_millis(1500), ..RunnerOptions::default() };
    let open = async || {
        let runner = SagaRunner::open(world.database.clone(), options.clone()).await.unwrap();
        runner.with(&saga).unwrap()
    };
    let dying = open().await;
    let dying = tokio::spawn(async move { dying.run_due().await });
    tokio::time::timeout(LONG, started.notified()).await.unwrap();
    // While it lives, its lease is renewed, and nobody else has the instance.
    tokio::time::sleep(options.lease * 2).await;
    let other = open().await;
    other.run_due().await;
    assert_eq!(other.progress().ended(), 0);
    dying.abort();
    _ = dying.await;
    let shown = world.until(&saga, "o", State::Completed).await;
    assert_eq!(world.effects().await, ["a", "b"]);
    assert_eq!(shown.steps[1].attempts, 2);
}

async fn a_runner_ends_what_it_has_begun<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let (begun, go_on) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (started, goes_on) = (begun.clone(), go_on.clone());
    let step = Step::<Order, D>::effect("slow", move |_| {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        Box::pin(async move {
            begun.notify_one();
            go_on.notified().await;
            Ok(())
        })
    });
    let saga = world.saga().step(step).step(world.step("after"));
    world.start(&saga, "o").await;
    let runner = world.runner(&saga).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(runner.run(async move { _ = stopped.await }));
    tokio::time::timeout(LONG, started.notified()).await.unwrap();
    drop(stop);
    goes_on.notify_one();
    running.await.unwrap();
    let shown = world.show("order", "o").await;
    assert_eq!((shown.instance.state, shown.steps.len()), (State::Running, 1), "it began nothing more");
    // And gave the instance back: another one has it at once.
    assert_eq!(world.go_on(&saga, "o").await.instance.state, State::Completed);
}
