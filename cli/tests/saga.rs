//! `anybroker saga` on a SQLite file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and so do their helpers")]

#[cfg(test)]
mod command;

use anybroker::patterns::database::Sqlite;
use anybroker::patterns::saga::{RunnerOptions, Saga, SagaRunner, Step, StepError};
use command::{Ran, anybroker};

/// An order that is parked, since its goods cannot be given back.
async fn parked(database: &Sqlite) -> Saga<u64, Sqlite> {
    let reserve = Step::<u64, Sqlite>::transaction("reserve", |step, _| {
        Box::pin(async move {
            step.data += 1;
            Ok(())
        })
    });
    let reserve =
        reserve.compensate(|_, _| Box::pin(async { Err(StepError::declined("the store is closed")) }));
    let ship = Step::transaction("ship", |_, _| Box::pin(async { Err(StepError::declined("no lorry")) }));
    let saga = Saga::new(database.clone(), "fulfilment", 1).step(reserve).step(ship);
    let mut transaction = database.pool().begin_with("begin immediate").await.unwrap();
    saga.start(&mut transaction, "order-7", &3).await.unwrap();
    transaction.commit().await.unwrap();
    run(database, &saga).await;
    saga
}

async fn run(database: &Sqlite, saga: &Saga<u64, Sqlite>) {
    let runner = SagaRunner::open(database.clone(), RunnerOptions::default()).await.unwrap();
    runner.with(saga).unwrap().run_due().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_saga_is_looked_at_retried_and_abandoned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let url = format!("sqlite://{}", path.display());
    let database = Sqlite::open(&path).await.unwrap();
    let ask = |args: &[&str]| -> Ran { anybroker(&[&["saga", args[0], &url], &args[1..]].concat(), "") };
    let early = ask(&["list"]);
    assert_eq!(early.code, Some(2), "{early:?}");
    assert!(early.err.contains("anybroker migrate"), "{early:?}");

    database.migrate().await.unwrap();
    let saga = parked(&database).await;
    let listed = ask(&["list", "--state", "parked", "--format", "json"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let lines = listed.json();
    assert_eq!(
        (lines.len(), &lines[0]["saga"], &lines[0]["id"]),
        (1, &"fulfilment".into(), &"order-7".into())
    );
    assert_eq!(lines[0]["reason"], "step `reserve` could not be compensated: the store is closed");
    assert!(ask(&["list"]).out.contains("order-7"));
    assert!(ask(&["list", "--state", "completed", "--format", "json"]).json().is_empty());
    let wrong = ask(&["list", "--state", "gone"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("parked"), "{wrong:?}");

    let shown = ask(&["show", "fulfilment", "order-7"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in
        ["fulfilment order-7: parked", "data (version 1): 4", "✗ ship", "├─", "└─", "ship given up: no lorry"]
    {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let shown = ask(&["show", "fulfilment", "order-7", "--format", "json"]).json().remove(0);
    assert_eq!((&shown["data"], &shown["state"]), (&4.into(), &"parked".into()));
    assert_eq!(shown["history"][1]["step"], "reserve");
    assert_eq!(ask(&["show", "fulfilment", "order-8"]).code, Some(1));

    assert_eq!(ask(&["retry", "fulfilment", "order-7"]).code, Some(0));
    assert_eq!(ask(&["retry", "fulfilment", "order-7"]).code, Some(1), "it is not parked any more");
    run(&database, &saga).await;
    let abandon = |reason| ask(&["abandon", "fulfilment", "order-7", "--reason", reason]);
    assert_eq!(abandon("").code, Some(2));
    assert_eq!(abandon("given back by hand").code, Some(0));
    assert_eq!(abandon("again").code, Some(1));
    let shown = ask(&["show", "fulfilment", "order-7"]).out;
    assert!(shown.contains("abandoned: given back by hand"), "{shown}");
}
