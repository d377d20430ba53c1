//! Keys whose publish failed, and which wait for the application.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Kind};
use crate::message::Key;
use crate::publisher::OnFailure;

/// Messages of a key that are refused: those after one that failed, and taken in before the application resumed the key.
/// The latter would overtake what it sends again.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Refused {
    /// The number of the message that failed. What was taken in before it goes on.
    after: u64,
    /// None until the key is resumed.
    before: Option<u64>,
}

#[derive(Debug)]
pub(super) struct HeldKeys {
    policy: OnFailure,
    /// Numbers the messages as they are taken in.
    next: AtomicU64,
    /// Spares the lock on the path where nothing has failed.
    any: AtomicBool,
    keys: Mutex<HashMap<Key, Vec<Refused>>>,
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
        let refused = keys.entry(key.clone()).or_default();
        match refused.last_mut() {
            Some(Refused { after, before: None }) => *after = number.min(*after),
            // An old one: the application has dealt with it.
            Some(Refused { before: Some(before), .. }) if number < *before => {}
            _ => refused.push(Refused { after: number, before: None }),
        }
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn resume(&self, key: &Key) {
        let mut keys = self.keys();
        if let Some(refused) = keys.get_mut(key).and_then(|refused| refused.last_mut()) {
            refused.before.get_or_insert_with(|| self.next.load(Ordering::Acquire));
        }
    }

    /// Nothing is on its way any more: no old message is left that could overtake.
    pub(super) fn forget_resumed(&self) {
        if self.any.load(Ordering::Acquire) {
            let mut keys = self.keys();
            keys.retain(|_, refused| {
                refused.retain(|refused| refused.before.is_none());
                !refused.is_empty()
            });
            self.any.store(!keys.is_empty(), Ordering::Release);
        }
    }

    pub(super) fn refusal(&self, key: Option<&Key>, number: u64) -> Option<Error> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let keys = self.keys();
        let inside =
            |refused: &Refused| number > refused.after && refused.before.is_none_or(|before| number < before);
        if !keys.get(key?)?.iter().any(inside) {
            return None;
        }
        let text = "an earlier message of this key failed, and sending this one would break the order";
        let advice = "deal with the failed one, then call `resume` with the key";
        Some(Error::new(Kind::KeyHeld, "publish", text).advice(advice))
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Key, Vec<Refused>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
