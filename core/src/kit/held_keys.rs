//! Keys whose publish failed, and which wait for the application.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Kind};
use crate::message::Key;
use crate::publisher::OnFailure;

#[derive(Debug)]
pub(super) struct HeldKeys {
    policy: OnFailure,
    /// Spares the lock on the path where nothing has ever failed.
    any: AtomicBool,
    keys: Mutex<HashSet<Key>>,
}

impl HeldKeys {
    pub(super) fn new(policy: OnFailure) -> Self {
        HeldKeys { policy, any: AtomicBool::new(false), keys: Mutex::default() }
    }

    pub(super) fn hold(&self, key: Option<&Key>) {
        let (OnFailure::HoldKey, Some(key)) = (self.policy, key) else { return };
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn resume(&self, key: &Key) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(key);
        self.any.store(!keys.is_empty(), Ordering::Release);
    }

    pub(super) fn refusal(&self, key: Option<&Key>) -> Option<Error> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let key = key?;
        let held = self.keys.lock().unwrap_or_else(PoisonError::into_inner).contains(key);
        held.then(|| {
            let text = "an earlier message of this key failed, and sending this one would break the order";
            Error::new(Kind::KeyHeld, "publish", text)
                .advice("deal with the failed one, then call `resume` with the key")
        })
    }
}
