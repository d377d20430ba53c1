//! Where the simulation is known to answer otherwise than the real broker, and why it stays so. A difference that is gone
//! fails the test, so that the list stays true.

/// One that is known.
pub(crate) struct Difference {
    pub(crate) pair: &'static str,
    pub(crate) characteristic: &'static str,
    pub(crate) why: &'static str,
}

pub(crate) const KNOWN: &[Difference] = &[Difference {
    pair: "kafka",
    characteristic: "cut_off_with_messages",
    why: "What is cut off can write down no attempt. In memory no member can be cut off without its broker seeing it; \
          with an adversary the count may be forgotten",
}];

pub(crate) fn known(pair: &str, characteristic: &str) -> Option<&'static Difference> {
    KNOWN.iter().find(|known| known.pair == pair && known.characteristic == characteristic)
}
