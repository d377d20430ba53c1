//! The runner dies at each of its awaits, and another one goes on: what is done in transactions is done once, in the right
//! order, and so is what undoes it.

use std::collections::BTreeSet;
use std::time::Duration;

use anybroker_patterns::saga::{RunnerOptions, Saga, SagaRunner, Shown, State, Step, StepError, Store};

use crate::support::crash::Crash;
use crate::support::on_both;
use crate::world::{Order, Sagas, World, history, order, quick};

on_both!(
    a_crash_anywhere_loses_and_repeats_nothing,
    a_crash_anywhere_undoes_everything_once,
    a_step_recorded_afterwards_is_repeated,
);

/// Starts an instance that has its event already, and runs it.
async fn attempt<D: Sagas>(world: &World<D>, saga: &Saga<Order, D>, id: &str) {
    let mut transaction = Store::begin(&world.database).await.unwrap();
    saga.start(&mut transaction, id, &Order::default()).await.unwrap();
    saga.signal(&mut transaction, id, "payment.taken", b"").await.unwrap();
    transaction.commit().await.unwrap();
    let options = RunnerOptions::default();
    let runner = SagaRunner::open(world.database.clone(), options).await.unwrap();
    runner.with(saga).unwrap().run_due().await;
}

/// Crashes instances of a saga at every await; gives how often, and what `check` said each time.
async fn crash_everywhere<D: Sagas>(
    world: &World<D>,
    saga: &Saga<Order, D>,
    end: State,
    check: impl Fn(&Shown, Vec<String>, Vec<String>) -> Result<(), String>,
) -> (usize, Vec<String>) {
    let begun = std::time::Instant::now();
    let (mut crashed, mut complaints) = (0, Vec::new());
    for crash in Crash::BOTH {
        let at = std::cell::Cell::new(0);
        let id = || format!("{crash:?}{}", at.get());
        let attempts = || {
            at.set(at.get() + 1);
            let id = id();
            async move { attempt(world, saga, &id).await }
        };
        let after = async |number| {
            let id = id();
            // What was cut off may still be on its way in the database: the next ones wait for its locks.
            world.time_passes().await;
            attempt(world, saga, &id).await;
            let shown = world.until(saga, &id, end).await;
            if let Err(complaint) = check(&shown, world.effects().await, world.asked()) {
                complaints.push(format!("{crash:?} at await {number}: {complaint}: {:#?}", history(&shown)));
            }
            world.forget_effects().await;
        };
        crashed += crash.at_every_await(attempts, after).await;
    }
    println!("{crashed} crashes, {:.1} s", begun.elapsed().as_secs_f64());
    (crashed, complaints)
}

/// Each kind of step once.
fn fulfilment<D: Sagas>(world: &World<D>, last: Step<Order, D>) -> Saga<Order, D> {
    let label = Step::effect("label", world.asks()).compensate(world.leaves("undo label")).retry(quick(3));
    let payment = Step::wait("payment", ["payment.taken"], world.leaves("payment"));
    let payment = payment.compensate(world.leaves("undo payment")).timeout(Duration::from_secs(600));
    world
        .saga()
        .deadline(Duration::from_secs(600))
        .step(world.step("reserve"))
        .together([world.step("pack"), label])
        .step(payment)
        .step(last)
}

fn same(what: &str, found: &[String], expected: &[&str]) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} in place of {expected:?}")) }
}

/// What every history must be like, however often the runner died.
fn consistent(shown: &Shown) -> Result<(), String> {
    let lines = history(shown);
    for once in ["started", "event", "reserve done", "pack done", "label done", "payment done"] {
        if lines.iter().filter(|line| *line == once).count() != 1 {
            return Err(format!("`{once}` is not once in the history"));
        }
    }
    if lines.last().map(String::as_str) != Some(shown.instance.state.as_str()) {
        return Err("the history does not end with the end".into());
    }
    if shown.history.windows(2).any(|two| two[0].at > two[1].at) {
        return Err("the history goes back in time".into());
    }
    Ok(())
}

/// What is elsewhere may have been asked for twice, with one key.
fn asked_by_one_key(asked: Vec<String>, shown: &Shown) -> Result<(), String> {
    let count = asked.len();
    let keys: BTreeSet<_> = asked.into_iter().collect();
    let key = format!("order/{}/label", shown.instance.id);
    if keys != BTreeSet::from([key]) || count > 2 {
        return Err(format!("asked elsewhere {count} times: {keys:?}"));
    }
    Ok(())
}

async fn a_crash_anywhere_loses_and_repeats_nothing<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let saga = fulfilment(&world, world.step("ship"));
    let check = |shown: &Shown, effects: Vec<String>, asked| {
        same("effects", &effects, &["reserve", "pack", "payment", "ship"])?;
        asked_by_one_key(asked, shown)?;
        if order(shown).label.is_none() {
            return Err("the data of the group is lost".into());
        }
        consistent(shown)
    };
    let (crashes, complaints) = crash_everywhere(&world, &saga, State::Completed, check).await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(crashes > 30, "only {crashes}");
}

async fn a_crash_anywhere_undoes_everything_once<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let declined = Step::transaction("ship", |_, _| Box::pin(async { Err(StepError::declined("no lorry")) }));
    let saga = fulfilment(&world, declined);
    let check = |shown: &Shown, effects: Vec<String>, asked| {
        asked_by_one_key(asked, shown)?;
        consistent(shown)?;
        let done: Vec<_> =
            shown.steps.iter().map(|step| step.step.as_str()).filter(|it| *it != "ship").collect();
        let undone: Vec<_> = done.iter().rev().map(|step| format!("undo {step}")).collect();
        let expected: Vec<_> =
            ["reserve", "pack", "payment"].into_iter().chain(undone.iter().map(String::as_str)).collect();
        same("effects", &effects, &expected)
    };
    let (crashes, complaints) = crash_everywhere(&world, &saga, State::Compensated, check).await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(crashes > 30, "only {crashes}");
}

/// The liar: the step's effect is in the database too, but is recorded in a transaction of its own.
async fn a_step_recorded_afterwards_is_repeated<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let here = world.clone();
    let liar = Step::<Order, D>::effect("reserve", move |_| {
        let world = here.clone();
        Box::pin(async move {
            let mut transaction = Store::begin(&world.database).await?;
            world.leave(&mut transaction, "reserve").await?;
            Ok(transaction.commit().await?)
        })
    });
    let saga = world.saga().step(liar);
    let check = |_: &Shown, effects: Vec<String>, _| same("effects", &effects, &["reserve"]);
    let (_, complaints) = crash_everywhere(&world, &saga, State::Completed, check).await;
    assert!(!complaints.is_empty(), "a crash between the effect and its record repeats the effect");
    assert!(complaints.iter().any(|it| it.contains(r#"["reserve", "reserve"]"#)), "{complaints:#?}");
}
