//! Where the simulation is known to answer otherwise than the real broker, and why it stays so. A difference that is gone
//! fails the test, so that the list stays true.

/// One that is known.
pub(crate) struct Difference {
    pub(crate) pair: &'static str,
    pub(crate) characteristic: &'static str,
    pub(crate) why: &'static str,
}

pub(crate) const KNOWN: &[Difference] = &[];

pub(crate) fn known(pair: &str, characteristic: &str) -> Option<&'static Difference> {
    KNOWN.iter().find(|known| known.pair == pair && known.characteristic == characteristic)
}
