//! Instances that go back.

use std::time::Duration;

use anybroker_patterns::saga::{State, Step, StepError, StepState};

use crate::support::on_both;
use crate::world::{Order, Sagas, World, history, quick};

on_both!(
    what_was_done_is_undone_in_reverse,
    an_effect_that_may_be_there_is_undone_too,
    an_effect_that_was_declined_is_not,
    what_takes_too_long_is_cut_off,
    a_group_is_undone_if_one_of_it_fails,
    steps_of_a_group_must_not_change_the_same_field,
);

/// A step that says no.
fn declines<D: Sagas>(name: &str) -> Step<Order, D> {
    Step::<Order, D>::transaction(name, |_, _| Box::pin(async { Err(StepError::declined("no lorry")) }))
}

async fn what_was_done_is_undone_in_reverse<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let plain = Step::<Order, D>::transaction("note", world.leaves("note"));
    let saga = world.saga().step(world.step("a")).step(plain).step(world.step("b")).step(declines("ship"));
    let shown = world.play(&saga, "o").await;
    assert_eq!(shown.instance.state, State::Compensated);
    assert_eq!(shown.instance.reason.as_deref(), Some("step `ship`: no lorry"));
    assert_eq!(world.effects().await, ["a", "note", "b", "undo b", "undo a"]);
    assert_eq!(
        history(&shown),
        [
            "started",
            "a done",
            "note done",
            "b done",
            "ship given up",
            "compensating",
            "b compensated",
            "note compensated",
            "a compensated",
            "compensated"
        ]
    );
}

async fn an_effect_that_may_be_there_is_undone_too<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let label =
        Step::<Order, D>::effect("label", |_| Box::pin(async { Err(StepError::failed("no answer")) }));
    let saga = world.saga().step(label.compensate(world.leaves("undo label")).retry(quick(2)));
    world.start(&saga, "o").await;
    let shown = world.until(&saga, "o", State::Compensated).await;
    assert_eq!(world.effects().await, ["undo label"]);
    assert_eq!(shown.steps[0].attempts, 2);
}

async fn an_effect_that_was_declined_is_not<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let label = Step::<Order, D>::effect("label", |_| {
        Box::pin(async { Err(StepError::declined("unknown address")) })
    });
    let saga = world.saga().step(world.step("a")).step(label.compensate(world.leaves("undo label")));
    let shown = world.play(&saga, "o").await;
    assert_eq!(world.effects().await, ["a", "undo a"]);
    assert_eq!(shown.steps[1].state, StepState::Failed);
    assert_eq!(shown.steps[1].attempts, 1, "it is not tried again");
}

async fn what_takes_too_long_is_cut_off<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let here = world.clone();
    let hangs = Step::<Order, D>::transaction("hang", move |_, connection| {
        let world = here.clone();
        Box::pin(async move {
            world.leave(connection, "hang").await?;
            std::future::pending().await
        })
    });
    let hangs = hangs.timeout(Duration::from_millis(20)).retry(quick(1));
    let saga = world.saga().step(world.step("a")).step(hangs);
    let shown = world.play(&saga, "o").await;
    assert_eq!(shown.instance.reason.as_deref(), Some("step `hang`: timed out after 20ms"));
    assert_eq!(world.effects().await, ["a", "undo a"]);
}

async fn a_group_is_undone_if_one_of_it_fails<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga =
        world.saga().step(world.step("a")).together([world.step("b"), declines("no"), world.step("c")]);
    let shown = world.play(&saga, "o").await;
    assert_eq!(shown.instance.state, State::Compensated);
    let effects = world.effects().await;
    let (done, undone) = effects.split_at(3);
    // What ran at once has no order of its own: two transactions may write in one order and commit in the other.
    let group = |effects: &[String]| std::collections::BTreeSet::from_iter(effects.iter().cloned());
    assert_eq!((done[0].as_str(), group(&done[1..])), ("a", group(&["b".into(), "c".into()])));
    let undo = group(&["undo b".into(), "undo c".into()]);
    assert_eq!((group(&undone[..2]), &undone[2..]), (undo, &["undo a".to_owned()][..]), "the group first");
}

async fn steps_of_a_group_must_not_change_the_same_field<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let sets = |name: &'static str, total| {
        Step::<Order, D>::effect(name, move |step| {
            Box::pin(async move {
                step.data.total = total;
                Ok(())
            })
        })
    };
    let saga = world.saga().together([sets("a", 1), sets("b", 2)]);
    let shown = world.play(&saga, "o").await;
    assert_eq!(shown.instance.state, State::Compensated);
    let reason = shown.instance.reason.unwrap();
    assert!(reason.contains("two steps that ran at once changed the field `total`"), "{reason}");
}
