//! Steps that wait for events, and instances that wait for too long.

use std::time::Duration;

use anybroker_patterns::saga::{Saga, Signalled, State, Step, StepError, Store};

use crate::support::on_both;
use crate::world::{Order, Sagas, World, history, order, quick};

on_both!(
    a_step_waits_for_its_event,
    an_event_may_come_early,
    an_event_that_says_no_leads_back,
    an_event_that_does_not_come_leads_back,
    an_event_may_come_too_late,
    the_deadline_outlives_the_runner,
    a_runner_is_woken_by_an_event,
);

fn payment<D: Sagas>() -> Step<Order, D> {
    Step::<Order, D>::wait("payment", ["payment.taken", "payment.declined"], |step, _| {
        Box::pin(async move {
            if step.signal("payment.declined").is_some() {
                return Err(StepError::declined("the payment was declined"));
            }
            step.data.paid = true;
            step.data.seen = step
                .signals()
                .iter()
                .map(|signal| String::from_utf8_lossy(&signal.payload).into_owned())
                .collect();
            Ok(())
        })
    })
}

async fn signal<D: Sagas>(world: &World<D>, saga: &Saga<Order, D>, id: &str, name: &str) -> Signalled {
    let mut transaction = Store::begin(&world.database).await.unwrap();
    let signalled = saga.signal(&mut transaction, id, name, b"3 EUR").await.unwrap();
    transaction.commit().await.unwrap();
    signalled
}

async fn a_step_waits_for_its_event<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga = world.saga().step(world.step("a")).step(payment()).step(world.step("ship"));
    let shown = world.play(&saga, "o").await;
    assert_eq!((shown.instance.state, shown.instance.due_at), (State::Running, None));
    assert_eq!(signal(&world, &saga, "o", "payment.taken").await, Signalled::Noted);
    assert_eq!(signal(&world, &saga, "o", "payment.taken").await, Signalled::Again);
    let shown = world.go_on(&saga, "o").await;
    assert_eq!(shown.instance.state, State::Completed);
    assert!(order(&shown).paid);
    assert_eq!(order(&shown).seen, ["3 EUR"]);
    assert_eq!(history(&shown), ["started", "a done", "event", "payment done", "ship done", "completed"]);
    assert_eq!(signal(&world, &saga, "unknown", "payment.taken").await, Signalled::Unknown);
}

async fn an_event_may_come_early<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga = world.saga().step(world.step("a")).step(payment());
    world.start(&saga, "o").await;
    signal(&world, &saga, "o", "payment.taken").await;
    assert_eq!(world.go_on(&saga, "o").await.instance.state, State::Completed);
}

async fn an_event_that_says_no_leads_back<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga = world.saga().step(world.step("a")).step(payment());
    world.start(&saga, "o").await;
    signal(&world, &saga, "o", "payment.declined").await;
    let shown = world.go_on(&saga, "o").await;
    assert_eq!(shown.instance.state, State::Compensated);
    assert_eq!(world.effects().await, ["a", "undo a"]);
}

async fn an_event_that_does_not_come_leads_back<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let waits = payment().timeout(Duration::from_millis(30));
    let saga = world.saga().step(world.step("a")).step(waits.compensate(world.leaves("never")));
    world.start(&saga, "o").await;
    let shown = world.until(&saga, "o", State::Compensated).await;
    let reason = "step `payment`: no payment.taken or payment.declined came within 30ms";
    assert_eq!(shown.instance.reason.as_deref(), Some(reason));
    assert_eq!(world.effects().await, ["a", "undo a"]);
}

async fn an_event_may_come_too_late<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga = world.saga().step(payment().timeout(Duration::from_millis(1)));
    world.start(&saga, "o").await;
    world.until(&saga, "o", State::Compensated).await;
    assert_eq!(signal(&world, &saga, "o", "payment.taken").await, Signalled::TooLate(State::Compensated));
    let shown = world.go_on(&saga, "o").await;
    assert_eq!(history(&shown).last().unwrap(), "event came too late");
    assert!(shown.signals.is_empty());
}

async fn the_deadline_outlives_the_runner<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let fails =
        Step::<Order, D>::effect("label", |_| Box::pin(async { Err(StepError::failed("no answer")) }));
    let fails = fails.compensate(world.leaves("undo label")).retry(quick(1_000_000));
    let saga = world.saga().deadline(Duration::from_secs(3)).step(world.step("a")).step(fails);
    world.start(&saga, "o").await;
    // Each time a new runner goes on.
    let shown = world.until(&saga, "o", State::Compensated).await;
    assert_eq!(shown.instance.reason.as_deref(), Some("the deadline passed"));
    let took = shown.instance.changed_at.duration_since(shown.instance.started_at).unwrap();
    assert!(took >= Duration::from_secs(3), "{took:?}");
    assert_eq!(world.effects().await, ["a", "undo label", "undo a"]);
}

async fn a_runner_is_woken_by_an_event<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga = world.saga().step(payment());
    let runner = world.runner(&saga).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(runner.run(async move { _ = stopped.await }));
    world.start(&saga, "o").await;
    signal(&world, &saga, "o", "payment.taken").await;
    crate::support::until(|| async { world.show("order", "o").await.instance.state == State::Completed })
        .await;
    drop(stop);
    running.await.unwrap();
}
