//! What handlers see of a recorded broker.

use anybroker_core::{Group, Topic};
use anybroker_worker::{Happening, Observer};

use super::consumer::RecordedSettler;

/// Records a delivery when a handler begins with it.
pub(super) struct Begins;

impl Observer for Begins {
    fn observe(&self, _: &Topic, _: &Group, happening: &Happening<'_>) {
        let Happening::Begins(delivery) = happening else { return };
        let recorded = delivery.settler().and_then(|settler| settler.context());
        match recorded.and_then(|context| context.downcast_ref::<RecordedSettler>()) {
            Some(settler) => settler.begins(delivery),
            None => tracing::error!("a worker over another broker: nothing of it is recorded"),
        }
    }
}
