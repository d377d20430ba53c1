//! Ten classic mistakes of event-driven services, one file each in `gallery`, beside their mended forms.
//!
//! None of them shows on a broker that behaves well. Each is found on one that does the worst that it may:
//!
//! ```sh
//! cargo run --release -p mistakes                  # all of them
//! cargo run --release -p mistakes -- poison_loop   # one, with its story
//! ```

mod database;
pub mod gallery;
mod mistake;
mod shop;

pub use mistake::{Mistake, Test};
