//! The smallest programs on anybroker, one file each in `src/bin`:
//!
//! - `hello`: publish and consume;
//! - `refused`: what happens when a broker does not give what the application needs;
//! - `service`: a handler that runs until it is told to end;
//! - `own_backend`: a backend of your own, in one file.
