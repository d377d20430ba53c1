//! Where brokers come from.

pub(crate) mod debian;
pub(crate) mod maven;
pub(crate) mod python;
pub(crate) mod system;
