//! Which events a subscriber wants.

use super::Recorded;

/// All events, or those of some types, or of streams whose names begin alike.
///
/// ```
/// use anybroker_patterns::event_store::Filter;
/// let placed = Filter::all().of_type("order.placed").in_streams("order-");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    types: Vec<String>,
    prefix: String,
}

impl Filter {
    /// All events.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only events of this type, or of the others that were named.
    pub fn of_type(mut self, event_type: impl Into<String>) -> Self {
        self.types.push(event_type.into());
        self
    }

    /// Only streams whose names begin so.
    pub fn in_streams(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    pub(crate) fn types(&self) -> &[String] {
        &self.types
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn wants(&self, event: &Recorded) -> bool {
        (self.types.is_empty() || self.types.contains(&event.event_type))
            && event.stream.starts_with(&self.prefix)
    }
}
