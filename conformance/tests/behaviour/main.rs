//! The suite on every backend, on the real servers. `cargo test --test behaviour -- kafka` runs one backend's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

#[path = "../targets/mod.rs"]
mod reached;
mod targets;

fn main() -> std::process::ExitCode {
    let ended = anybroker_conformance::suite(targets::all());
    targets::tidy();
    ended
}
