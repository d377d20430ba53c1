//! How much evidence makes a property *exercised* (guarantees §9).

use crate::properties::Property;

/// How many messages every fault must have found in flight.
pub const IN_FLIGHT: u64 = 10;

/// How many opportunities a promised property needs in a full run.
pub fn minimum(property: Property) -> u64 {
    match property {
        Property::P1 | Property::P3 | Property::P7 => 1_000,
        _ => 30,
    }
}
