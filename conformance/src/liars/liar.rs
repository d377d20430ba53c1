//! What a liar declares of itself.

use anybroker_core::Guarantees;
use anybroker_memory::MemoryConfig;

use super::lie::Lie;
use crate::properties::Property;

/// What a liar breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// A property.
    Property(Property),
    /// No property covers it, but a case does.
    Case(&'static str),
}

impl From<Property> for Root {
    fn from(property: Property) -> Self {
        Root::Property(property)
    }
}

impl std::fmt::Display for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Root::Property(property) => property.name(),
            Root::Case(name) => name,
        })
    }
}

/// A broker that lies in one way; or, without a root, one that does not.
#[derive(Clone, Copy)]
pub(super) struct Liar {
    pub(super) name: &'static str,
    /// The lie in a sentence.
    pub(super) about: &'static str,
    pub(super) root: Option<Root>,
    /// What cannot but show besides, and why.
    pub(super) consequences: &'static [(Property, &'static str)],
    /// What it promises, as a change to what the in-memory broker does.
    pub(super) promise: fn(&mut Guarantees),
    /// How the in-memory broker under it is configured.
    pub(super) configure: fn(&mut MemoryConfig),
    pub(super) lie: fn() -> Box<dyn Lie>,
    /// The cases that are needed to see it, besides the common ones.
    pub(super) needs: &'static [&'static str],
}

impl Liar {
    pub(super) fn new(
        name: &'static str,
        root: impl Into<Root>,
        about: &'static str,
        lie: fn() -> Box<dyn Lie>,
    ) -> Self {
        Liar { root: Some(root.into()), ..Liar::honest(name, about, lie) }
    }

    /// No liar at all.
    pub(super) fn honest(name: &'static str, about: &'static str, lie: fn() -> Box<dyn Lie>) -> Self {
        Liar {
            name,
            about,
            root: None,
            consequences: &[],
            promise: |_| {},
            configure: |_| {},
            lie,
            needs: &[],
        }
    }

    /// What cannot but show besides the root, and why.
    pub(super) fn implies(self, consequences: &'static [(Property, &'static str)]) -> Self {
        Liar { consequences, ..self }
    }

    /// Cases that are needed to see it, besides the common ones.
    pub(super) fn needs(self, needs: &'static [&'static str]) -> Self {
        Liar { needs, ..self }
    }

    /// The same, unless it has said so itself.
    pub(super) fn or_needs(self, needs: &'static [&'static str]) -> Self {
        if self.needs.is_empty() { self.needs(needs) } else { self }
    }

    /// What it promises other than the in-memory broker.
    pub(super) fn promises(self, promise: fn(&mut Guarantees)) -> Self {
        Liar { promise, ..self }
    }

    /// How the broker under it differs.
    pub(super) fn over(self, configure: fn(&mut MemoryConfig)) -> Self {
        Liar { configure, ..self }
    }
}

impl std::fmt::Debug for Liar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Liar").field("name", &self.name).field("root", &self.root).finish_non_exhaustive()
    }
}
