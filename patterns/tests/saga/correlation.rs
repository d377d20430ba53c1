//! Events that belong together.

use std::time::Duration;

use anybroker_patterns::saga::{
    Connection, Context, Correlation, RunnerOptions, SagaRunner, Shown, Signalled, State, StepError, Store,
};
use futures::future::BoxFuture;

use crate::support::crash::Crash;
use crate::support::on_both;
use crate::world::{Sagas, World};

on_both!(
    what_is_complete_is_said_once,
    what_is_incomplete_is_said_in_time,
    an_unknown_event_is_refused,
    an_end_that_fails_is_parked,
    a_crash_anywhere_ends_it_once,
);

fn says<D: Sagas>(
    world: &World<D>,
    what: &'static str,
) -> impl for<'a> Fn(&'a mut Context<()>, &'a mut Connection<D>) -> BoxFuture<'a, Result<(), StepError>>
+ Send
+ Sync
+ 'static {
    let world = world.clone();
    move |step, connection| {
        let world = world.clone();
        Box::pin(async move {
            let events: Vec<_> = step.signals().iter().map(|event| event.name.clone()).collect();
            Ok(world.leave(connection, &format!("{what}: {}", events.join(" "))).await?)
        })
    }
}

fn shipped<D: Sagas>(world: &World<D>, within: Duration) -> Correlation<D> {
    let events = ["placed", "paid", "packed"];
    let (complete, incomplete) = (says(world, "complete"), says(world, "incomplete"));
    Correlation::new(world.database.clone(), "shipped", events, within, complete, incomplete)
}

async fn note<D: Sagas>(world: &World<D>, of: &Correlation<D>, event: &str) -> Signalled {
    let mut transaction = Store::begin(&world.database).await.unwrap();
    let noted = of.note(&mut transaction, "o", event, b"").await.unwrap();
    transaction.commit().await.unwrap();
    // Events are in the order of their times.
    tokio::time::sleep(Duration::from_millis(2)).await;
    noted
}

async fn go_on<D: Sagas>(world: &World<D>, of: &Correlation<D>) -> Shown {
    let runner = SagaRunner::open(world.database.clone(), RunnerOptions::default()).await.unwrap();
    runner.with_correlation(of).unwrap().run_due().await;
    world.show("shipped", "o").await
}

async fn what_is_complete_is_said_once<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let of = shipped(&world, Duration::from_secs(600));
    assert_eq!(note(&world, &of, "packed").await, Signalled::Noted);
    assert_eq!(go_on(&world, &of).await.instance.state, State::Running);
    assert_eq!(note(&world, &of, "packed").await, Signalled::Again);
    assert_eq!(note(&world, &of, "placed").await, Signalled::Noted);
    assert_eq!(note(&world, &of, "paid").await, Signalled::Noted);
    assert_eq!(go_on(&world, &of).await.instance.state, State::Completed);
    assert_eq!(note(&world, &of, "paid").await, Signalled::Again);
    go_on(&world, &of).await;
    assert_eq!(world.effects().await, ["complete: packed placed paid"]);
}

async fn what_is_incomplete_is_said_in_time<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let of = shipped(&world, Duration::from_millis(60));
    note(&world, &of, "placed").await;
    let state = |shown: Shown| shown.instance.state;
    while state(go_on(&world, &of).await) != State::Incomplete {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.effects().await, ["incomplete: placed"]);
    assert_eq!(note(&world, &of, "paid").await, Signalled::TooLate(State::Incomplete));
    let instance = go_on(&world, &of).await.instance;
    assert!(instance.changed_at.duration_since(instance.started_at).unwrap() >= Duration::from_millis(60));
}

async fn an_unknown_event_is_refused<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let of = shipped(&world, Duration::from_secs(1));
    let mut transaction = Store::begin(&world.database).await.unwrap();
    let error = of.note(&mut transaction, "o", "payed", b"").await.unwrap_err();
    assert!(error.to_string().contains("`payed` is none of its events: placed, paid, packed"), "{error}");
}

async fn an_end_that_fails_is_parked<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let incomplete = says(&world, "incomplete");
    let within = Duration::from_secs(600);
    let of = Correlation::new(
        world.database.clone(),
        "shipped",
        ["placed"],
        within,
        |_, _| Box::pin(async { Err(StepError::declined("nobody there")) }),
        incomplete,
    );
    note(&world, &of, "placed").await;
    let shown = go_on(&world, &of).await;
    assert_eq!(shown.instance.state, State::Parked);
    assert_eq!(shown.instance.reason.as_deref(), Some("step `events`: nobody there"));
    // With a program that can, it is complete after all.
    let of = Correlation::new(
        world.database.clone(),
        "shipped",
        ["placed"],
        within,
        says(&world, "complete"),
        says(&world, "incomplete"),
    );
    assert!(world.admin().await.retry("shipped", "o").await.unwrap());
    assert_eq!(go_on(&world, &of).await.instance.state, State::Completed);
    assert_eq!(world.effects().await, ["complete: placed"]);
}

/// Complete and incomplete ones, the runner crashed at every await.
async fn a_crash_anywhere_ends_it_once<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let of = shipped(&world, Duration::from_millis(1));
    for (events, end, state) in [
        (&["packed", "placed", "paid"][..], "complete: packed placed paid", State::Completed),
        (&["paid"], "incomplete: paid", State::Incomplete),
    ] {
        for crash in Crash::BOTH {
            for at in 1.. {
                let mut transaction = Store::begin(&world.database).await.unwrap();
                for event in events {
                    // Events are in the order of their times.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    of.note(&mut transaction, "o", event, b"").await.unwrap();
                }
                transaction.commit().await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
                let ended = crash.at(at, go_on(&world, &of)).await.is_some();
                world.time_passes().await;
                while !go_on(&world, &of).await.instance.state.is_ended() {
                    world.time_passes().await;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                assert_eq!(go_on(&world, &of).await.instance.state, state);
                assert_eq!(world.effects().await, [end], "{crash:?} at await {at}");
                world.forget_effects().await;
                world.admin().await.forget(Duration::ZERO).await.unwrap();
                while world.admin().await.show("shipped", "o").await.unwrap().is_some() {
                    world.admin().await.forget(Duration::ZERO).await.unwrap();
                }
                if ended {
                    break;
                }
            }
        }
    }
}
