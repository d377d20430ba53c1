//! Other libraries over several brokers, each in the way that its own documentation says is the fastest.

pub(super) mod kafka;
