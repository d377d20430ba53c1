//! Sets of brokers.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::future::join_all;
use tokio::sync::OnceCell;

use super::{
    Engine, Error, Options, Progress, Status,
    catalogue::{self, LocalBroker},
    container::ContainerEngine,
    one::One,
    site::{Reporter, Site},
};

/// A set of brokers, whose state lies in one directory.
///
/// Brokers outlive this value and the process: they end by [`Brokers::down`] or [`Brokers::kill`] only. Sets in
/// different directories run side by side with [`PortChoice::Free`](super::PortChoice::Free). Several processes
/// may work on one set; commands on one broker wait for each other.
///
/// Where a method takes several names, no name means all brokers, and it works on them at the same time.
pub struct Brokers {
    state: PathBuf,
    options: Arc<Options>,
    reporter: Reporter,
    engine: EngineCell,
}

impl Brokers {
    /// The set whose state lies in this directory, which is created if it is not there.
    ///
    /// # Errors
    /// If the directory cannot be created.
    pub fn open(state: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let state = state.as_ref();
        fs::create_dir_all(state).map_err(Error::file("create", state))?;
        let state = state.canonicalize().map_err(Error::file("find", state))?;
        let reporter: Reporter = Arc::new(|_| {});
        Ok(Self { state, options: Arc::new(options), reporter, engine: EngineCell::default() })
    }

    /// The same set, which tells `report` what its commands are at. It is called often and must not block.
    #[must_use]
    pub fn on_progress(self, report: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self { reporter: Arc::new(report), ..self }
    }

    /// The names of all brokers there are, of the database `postgres`, of the `registry` of schemas, of `glue`, which is
    /// AWS Glue's, and of the object store `s3`.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        catalogue::ALL.iter().map(|broker| broker.name()).collect()
    }

    /// Whether messages go through what has this name: not through the database, the registry or the
    /// object store, nor through what does not exist.
    #[must_use]
    pub fn is_broker(name: &str) -> bool {
        catalogue::one(name).is_ok_and(|broker| broker.is_broker())
    }

    /// The directory of this set.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Starts these brokers, fetching what they need, and returns when all of them answer. What is up stays up,
    /// what is paused goes on, and what was killed comes back with its data.
    ///
    /// # Errors
    /// If a broker cannot be had, died, or did not answer in time. The others are started nevertheless, and
    /// whatever runs keeps running.
    ///
    /// # Cancel safety
    /// Dropping the future ends downloads and leaves brokers that were started running; call `up` again to wait
    /// for them, or [`down`](Self::down) to end them.
    pub async fn up(&self, names: &[&str]) -> Result<Vec<Status>, Error> {
        self.each(names, async |one| one.up().await).await
    }

    /// Stops these brokers: asks first, kills those that do not stop in time. Their data stays.
    ///
    /// # Errors
    /// If a broker cannot be stopped; the others are stopped nevertheless. That it is down already is none.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the brokers stopping or running; call `down` again.
    pub async fn down(&self, names: &[&str]) -> Result<Vec<Status>, Error> {
        self.each(names, async |one| one.down().await).await
    }

    /// Stops these brokers and removes their data.
    ///
    /// # Errors
    /// If a broker cannot be stopped or its data not be removed.
    ///
    /// # Cancel safety
    /// Dropping the future may leave a broker down with its data; call `reset` again.
    pub async fn reset(&self, names: &[&str]) -> Result<Vec<Status>, Error> {
        self.each(names, async |one| one.reset().await).await
    }

    /// How these brokers stand, asked of each broker itself.
    ///
    /// # Errors
    /// If what was recorded of a broker cannot be read, or its container engine does not answer.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect on the brokers.
    pub async fn status(&self, names: &[&str]) -> Result<Vec<Status>, Error> {
        self.each(names, async |one| one.status().await).await
    }

    /// Kills the broker (SIGKILL), as a crash would, and returns when it is gone. [`up`](Self::up) brings it back.
    ///
    /// # Errors
    /// If it is not running, or does not go.
    ///
    /// # Cancel safety
    /// Dropping the future may leave it running.
    pub async fn kill(&self, name: &str) -> Result<(), Error> {
        self.one(catalogue::one(name)?).kill().await
    }

    /// Suspends the broker (SIGSTOP): its connections stay open and nothing answers.
    ///
    /// # Errors
    /// If it is not running.
    ///
    /// # Cancel safety
    /// Dropping the future may leave it running or paused.
    pub async fn pause(&self, name: &str) -> Result<(), Error> {
        self.one(catalogue::one(name)?).pause().await
    }

    /// Lets a paused broker go on. It need not answer yet when this returns.
    ///
    /// # Errors
    /// If it is not running.
    ///
    /// # Cancel safety
    /// Dropping the future may leave it paused.
    pub async fn resume(&self, name: &str) -> Result<(), Error> {
        self.one(catalogue::one(name)?).resume().await
    }

    /// Stops the broker and starts it again, with its data and on the same ports.
    ///
    /// # Errors
    /// As [`down`](Self::down) and [`up`](Self::up).
    ///
    /// # Cancel safety
    /// Dropping the future may leave it down; call [`up`](Self::up).
    pub async fn restart(&self, name: &str) -> Result<Status, Error> {
        self.one(catalogue::one(name)?).restart().await
    }

    fn one(&self, broker: &'static dyn LocalBroker) -> One<'_> {
        let (options, reporter) = (Arc::clone(&self.options), Arc::clone(&self.reporter));
        let site = Site { broker: broker.name(), folder: self.state.join(broker.name()), options, reporter };
        One { broker, site, engine: &self.engine }
    }

    /// Does the same to each, at the same time; all get to their end, whoever fails.
    async fn each<'a, F>(
        &'a self,
        names: &[&str],
        action: impl Fn(One<'a>) -> F,
    ) -> Result<Vec<Status>, Error>
    where
        F: Future<Output = Result<Status, Error>>,
    {
        let chosen = catalogue::named(names)?;
        let results = join_all(chosen.into_iter().map(|broker| action(self.one(broker)))).await;
        let mut statuses = Vec::new();
        let mut errors = Vec::new();
        for result in results {
            match result {
                Ok(status) => statuses.push(status),
                Err(error) => errors.push(error),
            }
        }
        Error::from_all(errors).map_or(Ok(statuses), Err)
    }
}

/// The container engine, looked for once, when it first matters.
#[derive(Default)]
pub(crate) struct EngineCell(OnceCell<Result<ContainerEngine, String>>);

impl EngineCell {
    /// The engine to start brokers with; none for native processes.
    pub(crate) async fn wanted(&self, engine: Engine) -> Result<Option<ContainerEngine>, Error> {
        match engine {
            Engine::Native => Ok(None),
            Engine::Containers => self.get().await.map(Some),
            Engine::Auto => match self.get().await {
                Err(Error::NoEngine { tried }) if !cfg!(target_os = "linux") => {
                    Err(Error::NativeNeedsLinux { tried })
                }
                found => Ok(found.ok()),
            },
        }
    }

    #[cfg(test)]
    pub(crate) fn found(engine: ContainerEngine) -> Self {
        Self(OnceCell::new_with(Some(Ok(engine))))
    }

    pub(crate) async fn get(&self) -> Result<ContainerEngine, Error> {
        let found = self.0.get_or_init(ContainerEngine::find).await;
        found.clone().map_err(|tried| Error::NoEngine { tried })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_them_is_no_broker() {
        let others: Vec<_> = Brokers::names().into_iter().filter(|name| !Brokers::is_broker(name)).collect();
        assert_eq!(others, ["postgres", "registry", "glue", "s3"]);
        assert!(!Brokers::is_broker("kafak"));
    }

    #[tokio::test]
    async fn a_set_can_be_used_from_a_task() {
        let folder = tempfile::tempdir().unwrap();
        let brokers = Brokers::open(folder.path(), Options::default()).unwrap();
        let unknown = tokio::spawn(async move {
            brokers.up(&["nothing"]).await.unwrap_err();
            brokers.down(&["nothing"]).await.unwrap_err();
            brokers.kill("nothing").await.unwrap_err();
            brokers.restart("nothing").await.unwrap_err()
        });
        assert!(matches!(unknown.await.unwrap(), Error::UnknownBroker { .. }));
    }
}
