//! What the shared behaviour cases do not show: crashes at random instants, several processes, full disks, foreign files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod consumers_die;
mod files;
mod process;
mod publishers_die;
mod retention;
mod several;
mod speed;
mod support;
mod waking;
