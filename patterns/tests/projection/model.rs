//! A read model that shows whether every event was applied once and in order, and what tests say often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anybroker_core::async_trait;
use anybroker_patterns::database::{Postgres, Sqlite};
use anybroker_patterns::event_store::{At, Connection, EventStore, Expected, Filter, NewEvent, Recorded};
use anybroker_patterns::projection::store::Value;
use anybroker_patterns::projection::{
    BoxError, ParkedEvent, Projection, Projections, Projector, ProjectorOptions, Status, Store, Tables,
};

/// A database as these tests use it: a projection's statements have its connection only.
#[async_trait]
pub(crate) trait Base: Store {
    async fn statement(
        connection: &mut Connection<Self>,
        sql: &str,
        values: &[Value<'_>],
    ) -> sqlx::Result<()>;
}

macro_rules! base {
    ($database:ty, $connection:ty) => {
        #[async_trait]
        impl Base for $database {
            async fn statement(
                connection: &mut $connection,
                sql: &str,
                values: &[Value<'_>],
            ) -> sqlx::Result<()> {
                let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
                for value in values {
                    query = match *value {
                        Value::Int(number) => query.bind(number),
                        Value::Text(text) => query.bind(text),
                        Value::Maybe(text) => query.bind(text),
                    };
                }
                query.execute(connection).await.map(drop)
            }
        }
    };
}

base!(Postgres, sqlx::PgConnection);
base!(Sqlite, sqlx::SqliteConnection);

/// Adds up the numbers of each stream, and notes the versions it has seen.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    pub(crate) version: u32,
    pub(crate) filter: Filter,
    /// What the view is called.
    pub(crate) table: &'static str,
    /// The events that it refuses, by stream and version.
    pub(crate) refused: Arc<Mutex<BTreeSet<(String, u64)>>>,
    /// What a number counts.
    pub(crate) factor: i64,
    /// Whether its table has one more column, the first.
    pub(crate) extra: bool,
}

impl Default for Totals {
    fn default() -> Self {
        Totals {
            version: 1,
            filter: Filter::all(),
            table: "totals",
            refused: Arc::default(),
            factor: 1,
            extra: false,
        }
    }
}

impl Totals {
    pub(crate) fn refuse(&self, stream: &str, version: u64) {
        self.refused.lock().unwrap().insert((stream.into(), version));
    }

    pub(crate) fn accept_all(&self) {
        self.refused.lock().unwrap().clear();
    }
}

#[async_trait]
impl<D: Base> Projection<D> for Totals {
    fn name(&self) -> &str {
        "totals"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn tables(&self) -> &[&str] {
        std::slice::from_ref(&self.table)
    }

    fn filter(&self) -> Filter {
        self.filter.clone()
    }

    async fn create(&self, connection: &mut Connection<D>, tables: &Tables) -> Result<(), BoxError> {
        let table = tables.table(self.table);
        let extra = if self.extra { "extra bigint, " } else { "" };
        let sql =
            format!("create table {table} ({extra}stream text primary key, total bigint, versions text)");
        execute::<D>(connection, &sql, &[]).await
    }

    async fn apply(
        &self,
        connection: &mut Connection<D>,
        tables: &Tables,
        event: &Recorded,
    ) -> Result<(), BoxError> {
        assert!(event.event_type != "panic", "it was told to");
        let number: i64 = event.json()?;
        let table = tables.table(self.table);
        let sql = format!(
            "insert into {table} as t (stream, total, versions) values ($1, $2, $3) on conflict (stream) \
             do update set total = t.total + excluded.total, versions = t.versions || ',' || excluded.versions"
        );
        let version = event.version.to_string();
        let values = [(&event.stream).into(), Value::Int(number * self.factor), (&version).into()];
        execute::<D>(connection, &sql, &values).await?;
        // After the statement, so that it must be undone.
        if self.refused.lock().unwrap().contains(&(event.stream.clone(), event.version)) {
            return Err("refused".into());
        }
        Ok(())
    }
}

/// A statement of a projection that is written for any database.
async fn execute<D: Base>(
    connection: &mut Connection<D>,
    sql: &str,
    values: &[Value<'_>],
) -> Result<(), BoxError> {
    D::statement(connection, sql, values).await.map_err(Into::into)
}

pub(crate) type Model = BTreeMap<String, (i64, String)>;

/// What tests need of an event store with a read model.
#[derive(Clone, Debug)]
pub(crate) struct Shop<D: Base> {
    pub(crate) store: EventStore<D>,
    pub(crate) projections: Projections<D>,
}

impl<D: Base> Shop<D> {
    pub(crate) async fn of(database: D) -> Self {
        let store = EventStore::open(database.clone()).await.unwrap();
        Shop { store, projections: Projections::open(database).await.unwrap() }
    }

    pub(crate) fn database(&self) -> &D {
        self.store.database()
    }

    /// Appends numbers to a stream, in one transaction; the last one's position.
    pub(crate) async fn append(&self, stream: &str, numbers: &[i64]) -> u64 {
        let events: Vec<_> =
            numbers.iter().map(|number| NewEvent::new("added", 1, number.to_string())).collect();
        self.append_all(stream, &events).await
    }

    pub(crate) async fn append_all(&self, stream: &str, events: &[NewEvent]) -> u64 {
        let mut transaction = self.store.begin().await.unwrap();
        let appended = self.store.append(&mut transaction, stream, Expected::Any, events).await.unwrap();
        transaction.commit().await.unwrap();
        appended.position
    }

    pub(crate) async fn projector(&self, totals: &Totals) -> Projector<D, Totals> {
        self.projector_with(totals, ProjectorOptions::default()).await
    }

    pub(crate) async fn projector_with(
        &self,
        totals: &Totals,
        options: ProjectorOptions,
    ) -> Projector<D, Totals> {
        Projector::open(self.store.clone(), totals.clone(), options).await.unwrap()
    }

    /// Rows of a statement; `{schema}` is the schema with its dot.
    pub(crate) async fn rows<T: anybroker_patterns::projection::store::Fields>(&self, sql: &str) -> Vec<T> {
        self.try_rows(sql).await.unwrap()
    }

    pub(crate) async fn try_rows<T: anybroker_patterns::projection::store::Fields>(
        &self,
        sql: &str,
    ) -> anybroker_core::Result<Vec<T>> {
        let schema = self.database().names().schema().map(|schema| format!("{schema}."));
        let sql = sql.replace("{schema}", &schema.unwrap_or_default());
        let mut connection = self.database().pool().acquire().await.unwrap();
        self.database().rows(&mut connection, "test", &sql, &[]).await
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = self.database().pool().acquire().await.unwrap();
        self.execute_in(&mut connection, sql).await;
    }

    pub(crate) async fn execute_in(&self, connection: &mut Connection<D>, sql: &str) {
        let schema = self.database().names().schema().map(|schema| format!("{schema}."));
        let sql = sql.replace("{schema}", &schema.unwrap_or_default());
        self.database().execute(connection, "test", &sql, &[]).await.unwrap();
    }

    /// What readers see.
    pub(crate) async fn model(&self) -> Model {
        let rows: Vec<(String, i64, String)> =
            self.rows("select stream, total, versions from {schema}totals").await;
        rows.into_iter().map(|(stream, total, versions)| (stream, (total, versions))).collect()
    }

    /// What they should see of some streams.
    pub(crate) async fn fold(&self, factor: i64) -> Model {
        let streams: Vec<(String,)> = self.rows("select stream from {schema}anybroker_event_streams").await;
        let mut model = Model::new();
        for (stream,) in streams {
            let empty = (0, Vec::new());
            let adding = |(total, versions): &mut (i64, Vec<String>), event: &Recorded| {
                *total += event.json::<i64>().unwrap_or(0) * factor;
                versions.push(event.version.to_string());
                Ok(())
            };
            let ((total, versions), _) =
                self.store.fold(&stream, 1, At::Latest, empty, adding).await.unwrap();
            model.insert(stream, (total, versions.join(",")));
        }
        model
    }

    pub(crate) async fn status(&self) -> Status {
        let all = self.projections.status().await.unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }

    pub(crate) async fn parked(&self) -> Vec<ParkedEvent> {
        self.projections.parked("totals", 0, 1_000).await.unwrap()
    }

    pub(crate) async fn reaches(&self, position: u64) {
        crate::support::until(async || self.projections.status().await.unwrap().iter().any(|s| s.live)).await;
        self.projections.wait_for("totals", position, crate::support::LONG).await.unwrap();
    }
}

/// A projector in a task.
pub(crate) struct Running {
    stop: tokio::sync::oneshot::Sender<()>,
    pub(crate) task: tokio::task::JoinHandle<anybroker_core::Result<()>>,
}

impl Running {
    pub(crate) fn start<D: Base>(projector: &Projector<D, Totals>) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let projector = projector.clone();
        let task = tokio::spawn(async move { projector.run(async move { _ = stopped.await }).await });
        Running { stop, task }
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        tokio::time::timeout(crate::support::LONG, self.task).await.unwrap().unwrap().unwrap();
    }

    pub(crate) async fn kill(self) {
        self.task.abort();
        _ = self.task.await;
    }
}

pub(crate) const SHORT: Duration = Duration::from_millis(150);
