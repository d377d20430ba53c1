//! Who may work on a broker at the same time: whoever breaks it is alone, and one case at a time has its proxy.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::cases::Disturbs;

#[derive(Debug, Default)]
struct Place {
    broker: RwLock<()>,
    proxy: Mutex<()>,
}

/// Held while a case runs.
#[derive(Debug)]
pub enum Turn {
    /// Others may work on the same broker.
    Beside {
        /// The broker, shared.
        _broker: RwLockReadGuard<'static, ()>,
        /// Its proxy, if the case takes it.
        _proxy: Option<MutexGuard<'static, ()>>,
    },
    /// Nobody else may.
    Alone {
        /// The broker.
        _broker: RwLockWriteGuard<'static, ()>,
    },
}

/// Waits for a turn on a broker. A case that failed while it had its turn left nothing behind in these locks.
pub fn turn(broker: &str, disturbs: Disturbs) -> Turn {
    let place = place(broker);
    if disturbs == Disturbs::Broker {
        return Turn::Alone { _broker: place.broker.write().unwrap_or_else(PoisonError::into_inner) };
    }
    // In this order: who waits for the proxy keeps nobody else from the broker.
    let proxy =
        (disturbs == Disturbs::Proxy).then(|| place.proxy.lock().unwrap_or_else(PoisonError::into_inner));
    Turn::Beside { _broker: place.broker.read().unwrap_or_else(PoisonError::into_inner), _proxy: proxy }
}

fn place(broker: &str) -> &'static Place {
    static PLACES: LazyLock<Mutex<HashMap<String, &'static Place>>> = LazyLock::new(Mutex::default);
    PLACES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(broker.to_owned())
        .or_insert_with(|| Box::leak(Box::default()))
}
