//! Waking whoever waits: in this process by a notification, in others by a file that they watch.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::live::{Live, MEMBER, WAKE};

/// Those who wait in this process, by topic.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    topics: Mutex<HashMap<i64, Arc<Notify>>>,
    deaths: AtomicU64,
}

impl Wakes {
    /// What wakes those who wait for a topic.
    pub(crate) fn topic(&self, topic: i64) -> Arc<Notify> {
        let mut topics = self.topics();
        topics.retain(|_, changed| Arc::strong_count(changed) > 1);
        topics.entry(topic).or_default().clone()
    }

    pub(crate) fn wake(&self, topic: i64) {
        if let Some(changed) = self.topics().get(&topic) {
            changed.notify_waiters();
        }
    }

    fn wake_all(&self) {
        self.topics().values().for_each(|changed| changed.notify_waiters());
    }

    /// Grows whenever some member may have died.
    pub(crate) fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::Acquire)
    }

    fn heard(&self, event: &Event, own: &str) {
        if event.need_rescan() {
            return self.missed();
        }
        let names = event.paths.iter().filter_map(|path| path.file_name()?.to_str());
        for name in names {
            if name.starts_with(WAKE) && name != own && matters(&event.kind) {
                self.wake_all();
            } else if name.starts_with(MEMBER) && is_end(&event.kind) {
                self.deaths.fetch_add(1, Ordering::AcqRel);
                self.wake_all();
            }
        }
    }

    /// Events were lost: there may have been anything.
    fn missed(&self) {
        self.deaths.fetch_add(1, Ordering::AcqRel);
        self.wake_all();
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<i64, Arc<Notify>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn matters(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(_))
}

/// A file that was open for writing is closed, which the kernel does for a process that dies; or it is removed.
fn is_end(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Remove(_))
}

/// Listens to the other processes for as long as the value that it returns lives.
pub(crate) fn listen(live: &Live, wakes: &Arc<Wakes>) -> notify::Result<RecommendedWatcher> {
    let (own, wakes) = (live.own().to_owned(), wakes.clone());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
        Ok(event) => wakes.heard(&event, &own),
        Err(_) => wakes.missed(),
    })?;
    let directory: &Path = live.directory();
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use notify::event::Flag;

    use super::*;

    #[tokio::test]
    async fn lost_events_wake_everybody_and_may_have_been_deaths() {
        let wakes = Wakes::default();
        let topic = wakes.topic(1);
        let mut changed = std::pin::pin!(topic.notified());
        changed.as_mut().enable();
        wakes.heard(&Event::new(EventKind::Other).set_flag(Flag::Rescan), "own");
        tokio::time::timeout(std::time::Duration::from_secs(5), changed).await.unwrap();
        assert_eq!(wakes.deaths(), 1);
    }
}
