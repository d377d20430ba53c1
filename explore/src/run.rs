//! One seed's run, in the hands of the test.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anybroker_core::{Admin, Backend, Broker, Result, Topic};
use anybroker_memory::{Adversary, Deed, Memory, MemoryConfig};
use tokio::time::{sleep, timeout};

use crate::journal::Journal;
use crate::mortal::Mortal;
use crate::watch::Watched;

/// How long a process takes to start again.
const RESTART: Duration = Duration::from_secs(1);
/// When nothing has come or gone for so long, nothing will.
const QUIET: Duration = Duration::from_secs(5);
/// How long it goes on at its worst before everything is to come to its end.
const MISERY: Duration = Duration::from_secs(60);

/// One seed's run: the broker at its worst, and the processes that use it. Clones are the same run.
#[derive(Clone, Debug)]
pub struct Run(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    broker: Memory,
    /// Sees every topic and group, also where that broker's protocol cannot list them.
    audit: Memory,
    outside: Broker,
    journal: Option<Journal>,
    awaited: Mutex<&'static str>,
}

impl Run {
    pub(crate) fn new(config: MemoryConfig, watched: bool) -> Self {
        let audit = Memory::open(MemoryConfig { name: config.name.clone(), ..MemoryConfig::default() });
        let broker = Memory::open(config);
        let journal = watched.then(|| Journal::new(broker.reconnect()));
        let outside = watch(broker.at_peace(), "outside", journal.as_ref());
        Run(Arc::new(Parts { broker, audit, outside, journal, awaited: Mutex::new("the test itself") }))
    }

    /// A connection on which nothing goes wrong: to declare what must be there, to publish what comes from outside, and to
    /// read what came out.
    pub fn outside(&self) -> Broker {
        self.0.outside.clone()
    }

    /// A connection to the broker at its worst, for what is part of the service and no process of its own. `who` names it in
    /// the story.
    pub fn broker(&self, who: &str) -> Broker {
        watch(self.0.broker.reconnect(), who, self.0.journal.as_ref())
    }

    /// Starts a process of the service. It may be killed whenever it awaits something, and then its future is dropped; it
    /// starts again a second later, as it does when it ends with an error. What is to survive that (a database) belongs
    /// outside of it. Tasks that it spawns must end with it: a `JoinSet` does that, `tokio::spawn` alone does not.
    ///
    /// # Panics
    /// Outside of a run.
    pub fn process<F, L>(&self, name: &str, start: F)
    where
        F: Fn(Broker) -> L + 'static,
        L: Future<Output = Result<()>> + 'static,
    {
        let (run, name) = (self.clone(), name.to_owned());
        tokio::task::spawn_local(async move {
            while !run.live(&name, start(run.broker(&name))).await {
                sleep(RESTART).await;
            }
        });
    }

    /// Whether the process came to its end.
    async fn live(&self, name: &str, life: impl Future<Output = Result<()>>) -> bool {
        let ended = Mortal::new(life, &self.0.broker).await;
        let told = match &ended {
            None => "is killed, and will start again".to_owned(),
            Some(Err(error)) => format!("ends, and starts again: {error}"),
            Some(Ok(())) => "has done its work".to_owned(),
        };
        if let Some(journal) = &self.0.journal {
            journal.tell(name, told);
        }
        matches!(ended, Some(Ok(())))
    }

    /// Puts a line of your own into the story: what the service did to the world, such as `order-1 is charged`.
    pub fn note(&self, text: impl Into<String>) {
        if let Some(journal) = &self.0.journal {
            journal.note(text.into());
        }
    }

    /// Waits until every group has acknowledged everything, and nothing was published for five seconds of virtual time. The
    /// adversary goes on for a minute at most; then it rests, so that everything can come to its end. What never does fails the
    /// run, as stuck.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn drained(&self) {
        self.awaits("every group to have acknowledged everything");
        let _ = timeout(MISERY, self.quiet()).await;
        self.adversary(Adversary::rest);
        self.awaits("every group to have acknowledged everything, although nothing goes wrong any more");
        self.quiet().await;
        self.awaits("the test itself, after everything was acknowledged");
    }

    /// From now on nothing goes wrong: for those who wait for something else than [`drained`](Self::drained) does.
    pub fn rest(&self) {
        self.adversary(Adversary::rest);
    }

    async fn quiet(&self) {
        loop {
            let before = self.published();
            let clear = self.lags().await.is_empty();
            sleep(QUIET).await;
            if clear && self.lags().await.is_empty() && before == self.published() {
                return;
            }
        }
    }

    pub(crate) fn adversary<T: Default>(&self, ask: impl FnOnce(&Adversary) -> T) -> T {
        self.0.broker.adversary().map(ask).unwrap_or_default()
    }

    /// Waits for the bound of steps.
    pub(crate) async fn exhausted(&self) {
        match self.0.broker.adversary() {
            Some(adversary) => adversary.exhausted().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.0.journal.as_ref()
    }

    fn awaits(&self, what: &'static str) {
        *self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// What was awaited, and what is left to do.
    pub(crate) async fn situation(&self) -> String {
        let awaited = *self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let lags = self.lags().await;
        let left: Vec<_> = lags.iter().map(|lag| format!("\n  {lag}")).collect();
        format!("It waited for {awaited}.{}", left.concat())
    }

    /// How often something was published.
    fn published(&self) -> u64 {
        self.adversary(|adversary| adversary.chances(Deed::PublishRefused))
    }

    /// Which groups have not acknowledged everything.
    async fn lags(&self) -> Vec<String> {
        let mut lags = Vec::new();
        for info in self.0.audit.topics().await.unwrap_or_default() {
            let Ok(topic) = Topic::new(info.topic.as_str()) else { continue };
            for group in self.0.audit.groups(&topic).await.unwrap_or_default() {
                let (name, lag) = (&group.group, group.backlog());
                if lag > 0 {
                    lags.push(format!("group {name} has not acknowledged {lag} of topic {topic}"));
                }
            }
        }
        lags
    }
}

fn watch(broker: Memory, who: &str, journal: Option<&Journal>) -> Broker {
    let broker: Arc<dyn Backend> = Arc::new(broker);
    match journal {
        Some(journal) => Arc::new(Watched::new(broker, who, journal.clone())),
        None => broker,
    }
}
