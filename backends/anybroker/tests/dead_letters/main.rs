//! Dead letters in the hands of an operator, on the in-memory broker and as it is like others.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking, and so do their helpers")]

#[cfg(test)]
mod choosing;
#[cfg(test)]
mod discarding;
#[cfg(test)]
mod place;
#[cfg(test)]
mod replaying;
#[cfg(test)]
mod windows;
