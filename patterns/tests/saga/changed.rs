//! The program, the data or the tables are not what they were: said clearly, and nothing is lost.

use anybroker_core::Kind;
use anybroker_patterns::saga::{RunnerOptions, Saga, SagaAdmin, SagaRunner, State, Step};
use anybroker_patterns::schema::Upcasters;
use serde_json::json;

use crate::support::on_both;
use crate::world::{Order, Sagas, World, history, order};

on_both!(
    a_saga_whose_code_lost_a_step_is_parked,
    a_lost_step_that_is_to_be_undone_is_missed_too,
    steps_in_another_order_are_noticed,
    a_step_added_at_the_end_is_done,
    old_data_is_upcast,
    data_that_is_not_understood_parks_the_instance,
    a_missing_or_changed_table_is_refused,
    two_steps_of_one_name_are_refused,
);

fn waits<D: Sagas>(world: &World<D>) -> Step<Order, D> {
    Step::wait("wait", ["go"], world.leaves("wait"))
}

async fn signal<D: Sagas>(world: &World<D>, saga: &Saga<Order, D>, name: &str) {
    let mut transaction = anybroker_patterns::saga::Store::begin(&world.database).await.unwrap();
    saga.signal(&mut transaction, "o", name, b"").await.unwrap();
    transaction.commit().await.unwrap();
}

async fn a_saga_whose_code_lost_a_step_is_parked<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let old = world.saga().step(world.step("a")).step(world.step("b")).step(waits(&world));
    world.play(&old, "o").await;
    let new = world.saga().step(world.step("b")).step(waits(&world));
    signal(&world, &new, "go").await;
    let shown = world.go_on(&new, "o").await;
    assert_eq!(shown.instance.state, State::Parked);
    let reason = shown.instance.reason.unwrap();
    assert!(reason.contains("step `a` (done) is no longer in the program"), "{reason}");
    assert_eq!(world.effects().await, ["a", "b"]);
    // With the old program, and the people's word, it goes on where it was.
    assert!(world.admin().await.retry("order", "o").await.unwrap());
    let shown = world.go_on(&old, "o").await;
    assert_eq!(shown.instance.state, State::Completed);
    assert_eq!(world.effects().await, ["a", "b", "wait"]);
    assert!(history(&shown).contains(&"retried".to_owned()));
}

async fn a_lost_step_that_is_to_be_undone_is_missed_too<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let no = || {
        Step::<Order, D>::wait("no", ["go"], |_, _| {
            Box::pin(async { Err(anybroker_patterns::saga::StepError::declined("no")) })
        })
        .compensate(|_, _| Box::pin(async { Ok(()) }))
    };
    let fails = |name: &str| world.step(name).compensate(|_, _| Box::pin(async { Err("closed".into()) }));
    let old = world.saga().step(world.step("a")).step(fails("b").retry(crate::world::quick(1))).step(no());
    world.start(&old, "o").await;
    signal(&world, &old, "go").await;
    world.until(&old, "o", State::Parked).await;
    world.admin().await.retry("order", "o").await.unwrap();
    let new = world.saga().step(world.step("b")).step(no());
    let shown = world.until(&new, "o", State::Parked).await;
    let reason = shown.instance.reason.unwrap();
    assert!(reason.contains("step `a` (done) is no longer in the program"), "{reason}");
}

async fn steps_in_another_order_are_noticed<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let old = world.saga().step(world.step("a")).step(waits(&world));
    world.play(&old, "o").await;
    let new = world.saga().step(world.step("new")).step(world.step("a")).step(waits(&world));
    signal(&world, &new, "go").await;
    let reason = world.go_on(&new, "o").await.instance.reason.unwrap();
    assert!(reason.contains("step `new` is not done, and `a` after it was begun"), "{reason}");
    assert_eq!(world.effects().await, ["a"]);
}

async fn a_step_added_at_the_end_is_done<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let old = world.saga().step(world.step("a")).step(waits(&world));
    world.play(&old, "o").await;
    let new = world.saga().step(world.step("a")).step(waits(&world)).step(world.step("new"));
    signal(&world, &new, "go").await;
    assert_eq!(world.go_on(&new, "o").await.instance.state, State::Completed);
    assert_eq!(world.effects().await, ["a", "wait", "new"]);
}

async fn old_data_is_upcast<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let old = Saga::new(world.database.clone(), "order", 1)
        .step(Step::<serde_json::Value, D>::transaction("a", |_, _| Box::pin(async { Ok(()) })));
    let mut transaction = anybroker_patterns::saga::Store::begin(&world.database).await.unwrap();
    old.start(&mut transaction, "o", &json!({ "euros": 3 })).await.unwrap();
    transaction.commit().await.unwrap();
    let upcasters = Upcasters::new().step("order", 1, 2, |data| {
        let cents = data["euros"].as_u64().ok_or("no euros")? * 100;
        Ok(json!({ "total": cents, "seen": [], "paid": false, "label": null }))
    });
    let new = Saga::<Order, D>::new(world.database.clone(), "order", 2).upcasters(upcasters.unwrap()).step(
        Step::<Order, D>::transaction("a", |step, _| {
            Box::pin(async move {
                step.data.total += 1;
                Ok(())
            })
        }),
    );
    let shown = world.go_on(&new, "o").await;
    assert_eq!(shown.instance.state, State::Completed);
    assert_eq!((order(&shown).total, shown.instance.version), (301, 2));
}

async fn data_that_is_not_understood_parks_the_instance<D: Sagas>(database: D) {
    let world = World::new(database.clone()).await;
    let newer = Saga::<Order, D>::new(database.clone(), "order", 7).step(world.step("a"));
    let saga = world.saga().step(world.step("a"));
    for id in ["newer", "other", "broken"] {
        world.start(if id == "newer" { &newer } else { &saga }, id).await;
    }
    let table = database.table("sagas");
    database.run(&format!("update {table} set data = '{{\"total\":\"three\"}}' where id = 'other'")).await;
    database.run(&format!("update {table} set data = '{{' where id = 'broken'")).await;
    world.runner(&saga).await.run_due().await;
    for (id, part) in [
        ("newer", "order version 7 is newer than this program knows (newest: 1)"),
        ("other", "the data does not decode: invalid type: string \"three\""),
        ("broken", "the data does not decode: EOF"),
    ] {
        let instance = world.show("order", id).await.instance;
        assert_eq!(instance.state, State::Parked);
        let reason = instance.reason.unwrap();
        assert!(reason.contains(part), "{reason}");
    }
    assert!(world.effects().await.is_empty());
    world.admin().await.retry("order", "newer").await.unwrap();
    assert_eq!(world.go_on(&newer, "newer").await.instance.state, State::Completed);
}

async fn a_missing_or_changed_table_is_refused<D: Sagas>(database: D) {
    let open = || SagaRunner::open(database.clone(), RunnerOptions::default());
    database.run(&format!("alter table {} rename column fence to fance", database.table("sagas"))).await;
    let error = open().await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    assert!(error.to_string().contains("no column fence"), "{error}");
    assert!(SagaAdmin::open(database.clone()).await.is_err());
    database.run("delete from {migrations} where component = 'sagas'").await;
    let error = open().await.unwrap_err().to_string();
    assert!(
        error.contains("the tables of the sagas are at version 0") && error.contains("migrate"),
        "{error}"
    );
}

async fn two_steps_of_one_name_are_refused<D: Sagas>(database: D) {
    let world = World::new(database).await;
    let twice = world.saga().step(world.step("a")).step(world.step("a"));
    let runner = SagaRunner::open(world.database.clone(), RunnerOptions::default()).await.unwrap();
    let error = runner.with(&twice).unwrap_err();
    assert!(error.to_string().contains("two steps are called `a`"), "{error}");
    let saga = world.saga().step(world.step("a"));
    let error = world.runner(&saga).await.with(&saga).unwrap_err();
    assert!(error.to_string().contains("two sagas have this name"), "{error}");
}
