//! Looks at the guarantees again and again, and soon after the connection was lost: a handle whose requirements are no
//! longer met fails, and so does one whose topic is gone.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use anybroker_core::{Error, Kind, Requirements, Topic, TopologyMode};
use rdkafka::consumer::Consumer;

use crate::cluster::Cluster;
use crate::guarantees;

/// How long one look at the connection lasts; so long may stopping take.
const LOOK: Duration = Duration::from_millis(200);
/// How long to wait between two attempts to ask again.
const RETRY: Duration = Duration::from_secs(1);

/// How long what a handle needs is taken for given. librdkafka tells that a topic is gone after two minutes, and that a
/// setting was changed never.
const TRUSTED: Duration = Duration::from_secs(30);

/// An open publisher or consumer.
pub(crate) trait Supervised: Send + Sync {
    /// Whether it met something since the last call after which the guarantees may have changed.
    fn take_disturbed(&self) -> bool;
    /// Its topic.
    fn topic(&self) -> &Topic;
    /// What the application needs of it.
    fn requirements(&self) -> &Requirements;
    /// Ends it.
    fn fail(&self, error: Error);
    /// Helps its client to find the cluster, which answers others, if it has lost all brokers (decision 41). Blocks for a moment.
    fn remind(&self);
}

/// The open handles.
#[derive(Default)]
pub(crate) struct Supervisor {
    handles: Mutex<Vec<Weak<dyn Supervised>>>,
    stop: AtomicBool,
}

impl Supervisor {
    /// Watches over a handle for as long as it lives.
    pub(crate) fn watch(&self, handle: Weak<dyn Supervised>) {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.retain(|handle| handle.strong_count() > 0);
        handles.push(handle);
    }

    /// Ends the supervision.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    fn handles(&self) -> Vec<Arc<dyn Supervised>> {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.iter().filter_map(Weak::upgrade).collect()
    }

    /// Runs on a thread of its own until it is stopped.
    pub(crate) fn run(&self, cluster: &Cluster) {
        let mut look_again = Instant::now() + TRUSTED;
        let mut missed = HashSet::new();
        while !self.stop.load(Ordering::Acquire) {
            cluster.serve(LOOK);
            let mut disturbed = cluster.client.context().take_disturbed();
            for handle in self.handles() {
                disturbed |= handle.take_disturbed();
            }
            if disturbed {
                look_again = look_again.min(Instant::now() + RETRY);
            }
            if look_again <= Instant::now() {
                let wait = self.verify(cluster, &mut missed).map_or_else(
                    |error| {
                        tracing::debug!(%error, "the guarantees could not be looked at again yet");
                        RETRY
                    },
                    |()| if missed.is_empty() { TRUSTED } else { RETRY },
                );
                look_again = Instant::now() + wait;
            }
        }
    }

    /// Looks at the guarantees of every handle again. A topic that is not there is `missed` first: a broker that has
    /// just started, or has not heard of it yet, does not know it either. Its handles fail the next time.
    fn verify(&self, cluster: &Cluster, missed: &mut HashSet<Topic>) -> Result<(), Error> {
        let handles = self.handles();
        if handles.is_empty() {
            missed.clear();
            return Ok(());
        }
        cluster.ping("verify", RETRY)?;
        handles.iter().for_each(|handle| handle.remind());
        let before = std::mem::take(missed);
        for handle in handles {
            let topic = handle.topic();
            let given = match guarantees::probe(cluster, Some(topic)) {
                Ok(given) => given,
                Err(error) if error.kind() == Kind::NotFound => {
                    match cluster.config.topology {
                        TopologyMode::Ignore => {}
                        _ if before.contains(topic) => handle.fail(error),
                        _ => _ = missed.insert(topic.clone()),
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Err(error) = handle.requirements().verify(&given, &guarantees::place(cluster, topic)) {
                tracing::warn!(%error, "the broker gives less than before");
                handle.fail(error);
            }
        }
        Ok(())
    }
}
