//! One file or folder for each command.

pub(crate) mod brokers;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod guarantees;
pub(crate) mod publish;
pub(crate) mod subscribe;
pub(crate) mod topics;
