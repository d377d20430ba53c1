//! What a connection gives to everything that is opened on it.

use std::ops::Deref;
use std::sync::Arc;

use anybroker_core::Guarantees;

use crate::adversary::Adversary;
use crate::config::MemoryConfig;
use crate::semantics::Semantics;

/// Shared; a clone costs a count.
#[derive(Clone, Debug)]
pub(crate) struct Setup(Arc<Parts>);

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: MemoryConfig,
    pub(crate) semantics: Semantics,
    pub(crate) adversary: Option<Arc<Adversary>>,
}

impl Setup {
    pub(crate) fn new(config: MemoryConfig, guarantees: &Guarantees) -> Self {
        let semantics = Semantics::of(guarantees, config.like, config.adversary.is_some());
        let adversary = config
            .adversary
            .clone()
            .map(|schedule| Arc::new(Adversary::new(schedule, guarantees, &semantics)));
        Setup(Arc::new(Parts { config, semantics, adversary }))
    }

    /// Whether both are of one connection.
    pub(crate) fn is(&self, other: &Setup) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The same without an adversary.
    pub(crate) fn at_peace(&self) -> Self {
        let config = MemoryConfig { adversary: None, ..self.config.clone() };
        Setup(Arc::new(Parts { config, semantics: self.semantics, adversary: None }))
    }
}

impl Deref for Setup {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
