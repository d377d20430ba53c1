//! Keys whose publish failed, and which wait for the application.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Kind};
use crate::message::Key;
use crate::publisher::OnFailure;

/// How a key stands after a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    Held,
    /// Messages taken in before this number are still refused: they would overtake what the application sends again.
    ResumedAt(u64),
}

#[derive(Debug)]
pub(super) struct HeldKeys {
    policy: OnFailure,
    /// Numbers the messages as they are taken in.
    next: AtomicU64,
    /// Spares the lock on the path where nothing has failed.
    any: AtomicBool,
    keys: Mutex<HashMap<Key, Standing>>,
}

impl HeldKeys {
    pub(super) fn new(policy: OnFailure) -> Self {
        HeldKeys { policy, next: AtomicU64::new(0), any: AtomicBool::new(false), keys: Mutex::default() }
    }

    /// The first of `count` numbers for messages that are being taken in.
    pub(super) fn number(&self, count: usize) -> u64 {
        self.next.fetch_add(count as u64, Ordering::AcqRel)
    }

    /// The message of that number failed.
    pub(super) fn hold(&self, key: Option<&Key>, number: u64) {
        let (OnFailure::HoldKey, Some(key)) = (self.policy, key) else { return };
        let mut keys = self.keys();
        if !matches!(keys.get(key), Some(Standing::ResumedAt(from)) if number < *from) {
            keys.insert(key.clone(), Standing::Held);
        }
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn resume(&self, key: &Key) {
        let mut keys = self.keys();
        if keys.contains_key(key) {
            keys.insert(key.clone(), Standing::ResumedAt(self.next.load(Ordering::Acquire)));
        }
    }

    /// Nothing is on its way any more: no old message is left that could overtake.
    pub(super) fn forget_resumed(&self) {
        if self.any.load(Ordering::Acquire) {
            let mut keys = self.keys();
            keys.retain(|_, standing| *standing == Standing::Held);
            self.any.store(!keys.is_empty(), Ordering::Release);
        }
    }

    pub(super) fn refusal(&self, key: Option<&Key>, number: u64) -> Option<Error> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        match self.keys().get(key?)? {
            Standing::ResumedAt(from) if number >= *from => None,
            _ => {
                let text =
                    "an earlier message of this key failed, and sending this one would break the order";
                let advice = "deal with the failed one, then call `resume` with the key";
                Some(Error::new(Kind::KeyHeld, "publish", text).advice(advice))
            }
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Key, Standing>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
