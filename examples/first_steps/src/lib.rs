//! The smallest programs on anybroker, one file each in `src/bin`:
//!
//! - `hello`: publish and consume;
//! - `refused`: what happens when a broker does not give what the application needs;
//! - `own_backend`: a backend of your own, in one file.
