//! Answers that never change, each asked for once.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

/// So many answers; the oldest makes room. Who asks while somebody else does waits for that answer. Failures are not kept.
pub(super) struct Cache<K, V> {
    most: usize,
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K, V> {
    cells: HashMap<K, Arc<OnceCell<V>>>,
    order: VecDeque<K>,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Cache {
            most: most.max(1),
            entries: Mutex::new(Entries { cells: HashMap::new(), order: VecDeque::new() }),
        }
    }

    /// The answer, fetched unless it is there.
    pub(super) async fn get<E>(&self, key: &K, fetch: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let cell = self.cell(key);
        let answer = cell.get_or_try_init(|| fetch).await.cloned();
        if answer.is_err() {
            self.forget(key, &cell);
        }
        answer
    }

    /// Keeps an answer that came with another one.
    pub(super) fn put(&self, key: &K, value: V) {
        let _ = self.cell(key).set(value);
    }

    fn cell(&self, key: &K) -> Arc<OnceCell<V>> {
        let mut entries = self.entries();
        if let Some(cell) = entries.cells.get(key) {
            return cell.clone();
        }
        if entries.order.len() >= self.most
            && let Some(oldest) = entries.order.pop_front()
        {
            entries.cells.remove(&oldest);
        }
        let cell = Arc::new(OnceCell::new());
        entries.cells.insert(key.clone(), cell.clone());
        entries.order.push_back(key.clone());
        cell
    }

    /// A question without an answer takes no room from those that have one.
    fn forget(&self, key: &K, cell: &Arc<OnceCell<V>>) {
        let mut entries = self.entries();
        let same = entries.cells.get(key).is_some_and(|found| Arc::ptr_eq(found, cell));
        if same && !cell.initialized() {
            entries.cells.remove(key);
            entries.order.retain(|other| other != key);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn it_asks_once_keeps_so_many_and_no_failures() {
        let cache = Cache::<u32, u32>::new(2);
        let asked = AtomicU32::new(0);
        let ask = async |key: u32| {
            let fetch = async {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                if key > 9 { Err(()) } else { Ok(key) }
            };
            cache.get(&key, fetch).await
        };
        let (one, other) = tokio::join!(ask(1), ask(1));
        assert_eq!((one, other, asked.load(Ordering::Relaxed)), (Ok(1), Ok(1), 1));
        for unknown in 10..20 {
            ask(unknown).await.unwrap_err();
        }
        ask(2).await.unwrap();
        ask(1).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 12, "failures took the place of what is known");
        ask(3).await.unwrap();
        ask(1).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 14);
    }
}
