//! The file format: what is read, what is refused with which line and reason, and that nothing makes the reader panic.

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
