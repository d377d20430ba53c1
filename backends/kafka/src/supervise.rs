//! Watches the connection, and looks at the guarantees again after it was lost: a handle whose requirements are no
//! longer met fails.

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
        let mut look_again: Option<Instant> = None;
        while !self.stop.load(Ordering::Acquire) {
            cluster.serve(LOOK);
            let mut disturbed = cluster.client.context().take_disturbed();
            for handle in self.handles() {
                disturbed |= handle.take_disturbed();
            }
            if disturbed {
                look_again = Some(Instant::now() + RETRY);
            }
            if look_again.is_some_and(|at| at <= Instant::now()) {
                look_again = match self.verify(cluster) {
                    Ok(()) => None,
                    Err(error) => {
                        tracing::debug!(%error, "the guarantees could not be looked at again yet");
                        Some(Instant::now() + RETRY)
                    }
                };
            }
        }
    }

    /// Looks at the guarantees of every handle again.
    fn verify(&self, cluster: &Cluster) -> Result<(), Error> {
        cluster.ping("verify", RETRY)?;
        for handle in self.handles() {
            let topic = handle.topic();
            let given = match guarantees::probe(cluster, Some(topic)) {
                Ok(given) => given,
                Err(error) if error.kind() == Kind::NotFound => {
                    if cluster.config.topology != TopologyMode::Ignore {
                        handle.fail(error);
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
