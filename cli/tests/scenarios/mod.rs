//! What holds on every broker.

mod letters;
mod mistakes;
mod operating;
mod receiving;
mod round_trip;
mod topic;

pub(crate) use letters::*;
pub(crate) use mistakes::*;
pub(crate) use operating::*;
pub(crate) use receiving::*;
pub(crate) use round_trip::*;
pub(crate) use topic::*;
