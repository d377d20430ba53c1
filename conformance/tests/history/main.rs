//! The file format: what is read, what is refused with which line and reason, and that nothing makes the reader panic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may end where it goes wrong")]

mod accepted;
mod fuzzed;
mod refused;
mod written;

/// A header that promises nothing.
pub const HEADER: &str = r#"{"history":"anybroker/1","backend":"b","epsilon_ms":0,"promises":{}}"#;

/// A history of this text below the header.
pub fn below_header(text: &str) -> String {
    format!("{HEADER}\n{text}")
}
