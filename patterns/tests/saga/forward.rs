//! Instances that go forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anybroker_patterns::outbox::Outbox;
use anybroker_patterns::saga::{Started, State, Step, StepError, StepState, Store};

use crate::support::{numbered, on_both, topic};
use crate::world::{Order, Sagas, World, history, order, quick};

on_both!(
    steps_are_done_in_order,
    an_instance_is_started_once,
    nothing_is_started_that_was_rolled_back,
    a_step_that_fails_is_tried_again_without_a_trace,
    an_effect_elsewhere_keeps_its_key,
    a_step_stages_messages_in_its_own_transaction,
    steps_of_a_group_run_at_once,
);

/// With an outbox in the same transactions.
trait Staging:
    Sagas + anybroker_patterns::outbox::Store<Connection = anybroker_patterns::saga::Connection<Self>>
{
}
impl Staging for anybroker_patterns::database::Postgres {}
impl Staging for anybroker_patterns::database::Sqlite {}

async fn steps_are_done_in_order<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let seen = world.clone();
    let saga = world.saga().step(world.step("reserve")).step(Step::<Order, D>::transaction(
        "pack",
        move |step, connection| {
            let world = seen.clone();
            Box::pin(async move {
                step.data.total = 7;
                step.data.seen.push(format!("{} {} {}", step.saga(), step.id(), step.attempt()));
                Ok(world.leave(connection, "pack").await?)
            })
        },
    ));
    let saga = saga.step(world.step("ship"));
    let shown = world.play(&saga, "o1").await;
    assert_eq!(shown.instance.state, State::Completed);
    assert_eq!(shown.instance.due_at, None);
    assert_eq!(world.effects().await, ["reserve", "pack", "ship"]);
    let expected = Order { total: 7, seen: vec!["order o1 1".into()], ..Order::default() };
    assert_eq!(order(&shown), expected);
    assert_eq!(history(&shown), ["started", "reserve done", "pack done", "ship done", "completed"]);
    assert!(shown.steps.iter().all(|step| step.state == StepState::Done && step.attempts == 1));
}

async fn an_instance_is_started_once<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga = world.saga().step(world.step("a"));
    assert_eq!(world.start(&saga, "o").await, Started::New);
    assert_eq!(world.start(&saga, "o").await, Started::Already(State::Running));
    world.go_on(&saga, "o").await;
    assert_eq!(world.start(&saga, "o").await, Started::Already(State::Completed));
    world.go_on(&saga, "o").await;
    assert_eq!(world.effects().await, ["a"]);
}

async fn nothing_is_started_that_was_rolled_back<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga = world.saga().step(world.step("a"));
    let mut transaction = Store::begin(&world.database).await.unwrap();
    saga.start(&mut transaction, "o", &Order::default()).await.unwrap();
    transaction.rollback().await.unwrap();
    world.runner(&saga).await.run_due().await;
    assert!(world.admin().await.show("order", "o").await.unwrap().is_none());
    assert!(world.effects().await.is_empty());
}

async fn a_step_that_fails_is_tried_again_without_a_trace<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let here = world.clone();
    let step = Step::<Order, D>::transaction("a", move |step, connection| {
        let world = here.clone();
        Box::pin(async move {
            step.data.total += 1;
            world.leave(connection, "a").await?;
            if step.attempt() < 3 { Err(StepError::failed("not yet")) } else { Ok(()) }
        })
    });
    let saga = world.saga().step(step.retry(quick(3)));
    world.start(&saga, "o").await;
    let shown = world.until(&saga, "o", State::Completed).await;
    assert_eq!(world.effects().await, ["a"]);
    assert_eq!(order(&shown).total, 1, "what a failed attempt made of the data is gone");
    assert_eq!(history(&shown), ["started", "a failed", "a failed", "a done", "completed"]);
    assert_eq!(shown.history[2].attempt, Some(2));
    assert_eq!(shown.history[2].reason.as_deref(), Some("not yet"));
}

async fn an_effect_elsewhere_keeps_its_key<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let (asks, times) = (world.asks(), Arc::new(AtomicU32::new(0)));
    let asks = Arc::new(asks);
    let step = Step::<Order, D>::effect("label", move |step| {
        let (asks, times) = (asks.clone(), times.clone());
        Box::pin(async move {
            asks(step).await?;
            if times.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(std::io::Error::other("the reply was lost").into());
            }
            Ok(())
        })
    });
    let saga = world.saga().step(step.retry(quick(3)));
    world.start(&saga, "o").await;
    let shown = world.until(&saga, "o", State::Completed).await;
    assert_eq!(world.asked(), ["order/o/label", "order/o/label"]);
    assert_eq!(
        history(&shown),
        ["started", "label begun", "label failed", "label begun", "label done", "completed"]
    );
    assert_eq!(shown.history[2].reason.as_deref(), Some("the reply was lost"));
}

async fn a_step_stages_messages_in_its_own_transaction<D: Staging>(database: D) {
    let world = World::new(database.clone()).await;
    let outbox = Outbox::new(database.clone(), topic());
    let step = Step::<Order, D>::transaction("stage", move |step, connection| {
        let outbox = outbox.clone();
        Box::pin(async move {
            outbox.stage(connection, numbered(step.id(), step.attempt() as usize)).await?;
            if step.attempt() == 1 { Err(StepError::failed("once")) } else { Ok(()) }
        })
    });
    let saga = world.saga().step(step.retry(quick(2)));
    world.start(&saga, "o").await;
    world.until(&saga, "o", State::Completed).await;
    assert_eq!(database.count("select count(*) from {outbox}").await, 1);
}

async fn steps_of_a_group_run_at_once<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let meets = |name: &'static str| {
        let barrier = barrier.clone();
        Step::<Order, D>::effect(name, move |step| {
            let barrier = barrier.clone();
            Box::pin(async move {
                barrier.wait().await;
                if name == "label" {
                    step.data.label = Some("l".into());
                } else {
                    step.data.total = 3;
                }
                Ok(())
            })
        })
    };
    let saga =
        world.saga().together([meets("label"), meets("count"), world.step("pack")]).step(world.step("ship"));
    let shown = world.play(&saga, "o").await;
    assert_eq!(shown.instance.state, State::Completed);
    assert_eq!(
        (order(&shown).label.as_deref(), order(&shown).total),
        (Some("l"), 3),
        "each keeps what it changed"
    );
    assert_eq!(world.effects().await, ["pack", "ship"]);
}
