//! Messages that are handled exactly once: what their handlers have published is committed with their acknowledgements.

mod attempt;
mod choice;
mod pace;
mod seen;
mod transactor;
mod work;

pub(super) use transactor::Transactor;
pub(super) use work::{Done, Work};
