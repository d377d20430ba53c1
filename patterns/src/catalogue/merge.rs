//! The catalogues of several programs as one.

use super::{Catalogue, Service};

/// Two programs say different things of the same.
#[derive(Debug, thiserror::Error)]
#[error("{service} publishes {event_type} to {topic} in two ways; one of the catalogues is old")]
#[non_exhaustive]
pub struct MergeError {
    /// The service.
    pub service: String,
    /// The event.
    pub event_type: String,
    /// Where it is published.
    pub topic: String,
}

impl Catalogue {
    /// Adds the services of another catalogue; the title stays.
    ///
    /// # Errors
    /// One service publishes one version of an event to one topic, with another key, size or schema.
    pub fn merge(mut self, other: Catalogue) -> Result<Self, MergeError> {
        for (name, more) in other.services {
            let service = self.services.entry(name.clone()).or_default();
            if let Some(clash) = more.publishes.iter().find(|it| clashes(service, it)) {
                let (event_type, topic) = (clash.event_type.clone(), clash.topic.clone());
                return Err(MergeError { service: name, event_type, topic });
            }
            add(&mut service.publishes, more.publishes);
            add(&mut service.consumes, more.consumes);
            add(&mut service.asks, more.asks);
            add(&mut service.answers, more.answers);
        }
        Ok(self)
    }
}

fn clashes(service: &Service, new: &super::Publication) -> bool {
    let of_it = |it: &&super::Publication| {
        (&it.event_type, it.version, &it.topic) == (&new.event_type, new.version, &new.topic)
    };
    service.publishes.iter().filter(of_it).any(|it| it != new)
}

fn add<T: PartialEq>(all: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}
