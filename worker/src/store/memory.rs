//! A store in this process's memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anybroker_core::{Group, Key, MessageId, Result};
use async_trait::async_trait;
use tokio::time::Instant;

use super::{Admission, Begin, IdempotencyStore, Lot, ParkingStore};

/// Remembers in memory: for tests, and for services of one process that may forget everything when it ends.
#[derive(Debug)]
pub struct MemoryStore {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: HashMap<(Group, MessageId), Option<Instant>>,
    /// Those that are done, oldest first.
    done: VecDeque<(Group, MessageId)>,
    parked: HashMap<(String, Group, Key), VecDeque<MessageId>>,
}

impl MemoryStore {
    /// Remembers that many messages as done; the oldest are forgotten first.
    pub fn new(capacity: usize) -> Self {
        MemoryStore { capacity: capacity.max(1), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl IdempotencyStore for MemoryStore {
    async fn begin(&self, group: &Group, id: &MessageId, lease: Duration) -> Result<Begin> {
        let (mut state, now) = (self.state(), Instant::now());
        let key = (group.clone(), id.clone());
        Ok(match state.messages.get(&key) {
            Some(None) => Begin::Done,
            Some(Some(until)) if *until > now => Begin::InWork(*until - now),
            _ => {
                state.messages.insert(key, Some(now + lease));
                Begin::Claimed
            }
        })
    }

    async fn complete(&self, group: &Group, id: &MessageId) -> Result<()> {
        let mut state = self.state();
        let key = (group.clone(), id.clone());
        if state.messages.insert(key.clone(), None) != Some(None) {
            state.done.push_back(key);
        }
        while state.done.len() > self.capacity
            && let Some(oldest) = state.done.pop_front()
        {
            state.messages.remove(&oldest);
        }
        Ok(())
    }

    async fn abandon(&self, group: &Group, id: &MessageId) -> Result<()> {
        let mut state = self.state();
        let key = (group.clone(), id.clone());
        if matches!(state.messages.get(&key), Some(Some(_))) {
            state.messages.remove(&key);
        }
        Ok(())
    }
}

#[async_trait]
impl ParkingStore for MemoryStore {
    async fn admit(&self, lot: &Lot<'_>, id: &MessageId) -> Result<Admission> {
        let mut state = self.state();
        let Some(parked) = state.parked.get_mut(&owned(lot)) else { return Ok(Admission::Free) };
        let Some(first) = parked.front().cloned() else { return Ok(Admission::Free) };
        if first == *id {
            return Ok(Admission::First);
        }
        if !parked.contains(id) {
            parked.push_back(id.clone());
        }
        Ok(Admission::Behind(first))
    }

    async fn park(&self, lot: &Lot<'_>, id: &MessageId) -> Result<()> {
        let mut state = self.state();
        let parked = state.parked.entry(owned(lot)).or_default();
        if !parked.contains(id) {
            parked.push_back(id.clone());
        }
        Ok(())
    }

    async fn leave(&self, lot: &Lot<'_>, id: &MessageId) -> Result<()> {
        let (mut state, lot) = (self.state(), owned(lot));
        let Some(parked) = state.parked.get_mut(&lot) else { return Ok(()) };
        parked.retain(|parked| parked != id);
        if parked.is_empty() {
            state.parked.remove(&lot);
        }
        Ok(())
    }
}

fn owned(lot: &Lot<'_>) -> (String, Group, Key) {
    (lot.topic.to_string(), lot.group.clone(), lot.key.clone())
}
