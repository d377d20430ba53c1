//! Event catalogue: who publishes and who consumes which event, declared by the code itself.
//!
//! Each program declares its services and writes the catalogue as JSON; several are [merged](Catalogue::merge). Of the whole
//! there is an [AsyncAPI document](Catalogue::asyncapi), a drawn graph ([text](Catalogue::text), [Graphviz](Catalogue::dot),
//! [Mermaid](Catalogue::mermaid)), and [what is remarkable](Catalogue::findings): invisible coupling, cycles, synchronous
//! chains, events that are named like commands, that are too large, or that have neither version nor key.
//!
//! ```
//! use anybroker_core::{Event, Group, Topic};
//! use anybroker_patterns::catalogue::{Catalogue, FindingKind, Publication};
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # struct OrderPlaced {}
//! # impl Event for OrderPlaced { const TYPE: &'static str = "order.placed"; }
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # struct PaymentTaken {}
//! # impl Event for PaymentTaken { const TYPE: &'static str = "payment.taken"; }
//!
//! let (orders, payments) = (Topic::new("orders")?, Topic::new("payments")?);
//! let catalogue = Catalogue::new("shop").service("orders", |service| {
//!     service
//!         .publishes(Publication::of::<OrderPlaced>(&orders).key("order"))
//!         .consumes::<PaymentTaken>(&payments, &Group::new("orders").unwrap())
//! });
//! let findings = catalogue.findings();
//! assert_eq!(findings[0].kind, FindingKind::NobodyPublishes); // payment.taken, as far as this program knows
//! # Ok::<(), anybroker_core::Error>(())
//! ```

mod asyncapi;
mod drawing;
mod findings;
mod graph;
mod merge;
mod naming;
mod service;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use findings::{Finding, FindingKind};
pub use merge::MergeError;
pub use service::{Consumption, Exchange, Publication, Service};

/// Services, and the events between them. As JSON it is what each program writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// What all of it is called.
    pub title: String,
    /// By name.
    pub services: BTreeMap<String, Service>,
}

impl Catalogue {
    /// Without a service.
    pub fn new(title: impl Into<String>) -> Self {
        Catalogue { title: title.into(), services: BTreeMap::new() }
    }

    /// Declares a service, or more of it.
    pub fn service(mut self, name: impl Into<String>, declare: impl FnOnce(Service) -> Service) -> Self {
        let name = name.into();
        let service = self.services.remove(&name).unwrap_or_default();
        self.services.insert(name, declare(service));
        self
    }
}
