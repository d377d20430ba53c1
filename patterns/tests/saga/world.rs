//! What the sagas of the tests do, and where it is seen.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::Result;
use anybroker_patterns::database::{Postgres, Sqlite};
use anybroker_patterns::saga::{
    Connection, Context, Retry, RunnerOptions, Saga, SagaAdmin, SagaRunner, Shown, Started, State, Step,
    StepError, Store,
};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::support::Database;

/// What the tests need of a database.
pub(crate) trait Sagas: Database + Store {
    fn table(&self, name: &str) -> String;
}

impl Sagas for Postgres {
    fn table(&self, name: &str) -> String {
        self.names().table(name)
    }
}

impl Sagas for Sqlite {
    fn table(&self, name: &str) -> String {
        self.names().table(name)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) total: u64,
    pub(crate) seen: Vec<String>,
    pub(crate) paid: bool,
    pub(crate) label: Option<String>,
}

/// A database with a table of effects, and something elsewhere that has effects too.
#[derive(Clone, Debug)]
pub(crate) struct World<D> {
    pub(crate) database: D,
    /// Every effect elsewhere by its idempotency key, as often as it was asked for.
    pub(crate) elsewhere: Arc<Mutex<Vec<String>>>,
}

impl<D: Sagas> World<D> {
    pub(crate) async fn new(database: D) -> Self {
        let table = database.table("effects");
        let number = if table.contains('.') {
            "bigint generated always as identity"
        } else {
            "integer primary key autoincrement"
        };
        database.run(&format!("create table {table} (number {number}, what text not null)")).await;
        World { database, elsewhere: Arc::default() }
    }

    pub(crate) fn saga(&self) -> Saga<Order, D> {
        Saga::new(self.database.clone(), "order", 1)
    }

    /// A step that leaves an effect of its name, and one of `undo` and its name when it is undone.
    pub(crate) fn step(&self, name: &str) -> Step<Order, D> {
        Step::transaction(name, self.leaves(name))
            .compensate(self.leaves(&format!("undo {name}")))
            .retry(quick(3))
    }

    /// What leaves an effect in the database.
    pub(crate) fn leaves(
        &self,
        what: &str,
    ) -> impl for<'a> Fn(&'a mut Context<Order>, &'a mut Connection<D>) -> BoxFuture<'a, Result<(), StepError>>
    + Send
    + Sync
    + 'static {
        let (world, what) = (self.clone(), what.to_owned());
        move |_, connection| {
            let (world, what) = (world.clone(), what.clone());
            Box::pin(async move { Ok(world.leave(connection, &what).await?) })
        }
    }

    pub(crate) async fn leave(&self, connection: &mut Connection<D>, what: &str) -> Result<()> {
        let sql = format!("insert into {} (what) values ($1)", self.database.table("effects"));
        self.database.execute(connection, &sql, vec![what.into()]).await.map(drop)
    }

    /// What has an effect elsewhere, which knows by the key what it has done.
    pub(crate) fn asks(
        &self,
    ) -> impl for<'a> Fn(&'a mut Context<Order>) -> BoxFuture<'a, Result<(), StepError>> + Send + Sync + 'static
    {
        let elsewhere = self.elsewhere.clone();
        move |step| {
            let elsewhere = elsewhere.clone();
            Box::pin(async move {
                tokio::task::yield_now().await;
                elsewhere.lock().unwrap().push(step.idempotency_key());
                tokio::task::yield_now().await;
                step.data.label = Some(step.idempotency_key());
                Ok(())
            })
        }
    }

    pub(crate) async fn start(&self, saga: &Saga<Order, D>, id: &str) -> Started {
        let mut transaction = Store::begin(&self.database).await.unwrap();
        let started = saga.start(&mut transaction, id, &Order::default()).await.unwrap();
        transaction.commit().await.unwrap();
        started
    }

    pub(crate) async fn runner(&self, saga: &Saga<Order, D>) -> SagaRunner<D> {
        let options = RunnerOptions::default();
        SagaRunner::open(self.database.clone(), options).await.unwrap().with(saga).unwrap()
    }

    /// Starts an instance and runs it until nothing is due.
    pub(crate) async fn play(&self, saga: &Saga<Order, D>, id: &str) -> Shown {
        self.start(saga, id).await;
        self.go_on(saga, id).await
    }

    /// Runs instances until nothing is due.
    pub(crate) async fn go_on(&self, saga: &Saga<Order, D>, id: &str) -> Shown {
        self.runner(saga).await.run_due().await;
        self.show(saga.name(), id).await
    }

    /// Runs instances until one stands so.
    pub(crate) async fn until(&self, saga: &Saga<Order, D>, id: &str, state: State) -> Shown {
        loop {
            let shown = self.go_on(saga, id).await;
            if shown.instance.state == state {
                return shown;
            }
            assert!(!shown.instance.state.is_ended(), "{shown:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn admin(&self) -> SagaAdmin<D> {
        SagaAdmin::open(self.database.clone()).await.unwrap()
    }

    pub(crate) async fn show(&self, saga: &str, id: &str) -> Shown {
        self.admin().await.show(saga, id).await.unwrap().expect("there is no such instance")
    }

    /// The effects in the database, in order.
    pub(crate) async fn effects(&self) -> Vec<String> {
        let table = self.database.table("effects");
        self.texts(&format!("select what || '' from {table} order by number")).await
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let mut connection = self.database.pool().acquire().await.unwrap();
        let rows = self.database.fetch(&mut connection, sql, Vec::new()).await.unwrap();
        rows.into_iter().map(|row| row.texts().pop().unwrap().unwrap()).collect()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.elsewhere.lock().unwrap().clone()
    }

    /// As when a lease has run out.
    pub(crate) async fn time_passes(&self) {
        let table = self.database.table("sagas");
        self.database.run(&format!("update {table} set leased_until = 0")).await;
    }

    pub(crate) async fn forget_effects(&self) {
        self.database.run(&format!("delete from {}", self.database.table("effects"))).await;
        self.elsewhere.lock().unwrap().clear();
    }
}

pub(crate) fn order(shown: &Shown) -> Order {
    serde_json::from_str(&shown.instance.data).unwrap()
}

/// The history as `step what`.
pub(crate) fn history(shown: &Shown) -> Vec<String> {
    let line = |entry: &anybroker_patterns::saga::Entry| match &entry.step {
        Some(step) => format!("{step} {}", entry.what),
        None => entry.what.clone(),
    };
    shown.history.iter().map(line).collect()
}

/// Attempts that follow each other at once, nearly.
pub(crate) fn quick(attempts: u32) -> Retry {
    Retry::attempts(attempts).backoff(Duration::from_millis(1), Duration::from_millis(1))
}
