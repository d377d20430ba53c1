//! Measures what happens in a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use anybroker_core::{Delivery, Group, Topic};
use opentelemetry::KeyValue;

use super::instruments::Instruments;
use super::names::System;
use crate::observe::{Happening, Observer, Outcome, Wants};
use crate::telemetry::BySubscription;

/// How often the broker is asked for the lag.
const LAG: Duration = Duration::from_secs(15);

/// Hears what happens, and measures it.
pub(super) struct Watching {
    instruments: Arc<Instruments>,
    system: System,
    subscriptions: BySubscription<Subscribed>,
}

struct Subscribed {
    attributes: Vec<KeyValue>,
    in_flight: AtomicI64,
}

impl Watching {
    pub(super) fn new(instruments: Arc<Instruments>, system: System) -> Self {
        Watching { instruments, system, subscriptions: BySubscription::default() }
    }

    fn settled(&self, of: &Subscribed, delivery: &Delivery, outcome: Outcome) {
        let by = [&of.attributes[..], &[KeyValue::new("anybroker.outcome", outcome.as_str())]].concat();
        self.instruments.settled.add(1, &by);
        if matches!(outcome, Outcome::Acknowledged | Outcome::DeadLettered | Outcome::Discarded) {
            self.instruments.attempts.record(u64::from(delivery.failures()) + 1, &of.attributes);
        }
    }

    fn in_flight(&self, of: &Subscribed, change: i64) {
        of.in_flight.fetch_add(change, Relaxed);
        self.instruments.in_flight.add(change, &of.attributes);
    }
}

impl Observer for Watching {
    fn observe(&self, topic: &Topic, group: &Group, happening: &Happening<'_>) {
        let of = self.subscriptions.of(topic, group, || Subscribed {
            attributes: self.system.attributes("process", "process", topic, Some(group)),
            in_flight: AtomicI64::new(0),
        });
        match happening {
            Happening::Begins(_) => self.in_flight(of, 1),
            Happening::Ended { .. } => self.in_flight(of, -1),
            Happening::Settled { delivery, outcome, result: Ok(_) } => self.settled(of, delivery, *outcome),
            Happening::DeadLetterRefused(_) => self.instruments.refused.add(1, &of.attributes),
            Happening::Lag(Ok(lag)) => self.instruments.lag.record(*lag, &of.attributes),
            // Handlers that were dropped have not ended.
            Happening::Closed(_) => self.in_flight(of, -of.in_flight.load(Relaxed)),
            _ => {}
        }
    }

    fn wants(&self) -> Wants {
        Wants { lag: Some(LAG), ..Wants::default() }
    }
}
