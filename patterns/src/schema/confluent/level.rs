//! What the server lets a subject's next version do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the server checks before it registers a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Level {
    /// Nothing.
    None,
    /// The new version reads what the last one wrote.
    Backward,
    /// It reads what all wrote.
    BackwardTransitive,
    /// The last version reads what the new one writes.
    Forward,
    /// All read it.
    ForwardTransitive,
    /// Both, with the last version.
    Full,
    /// Both, with all.
    FullTransitive,
}

impl fmt::Display for Level {
    /// As the protocol writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::None => "NONE",
            Level::Backward => "BACKWARD",
            Level::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Level::Forward => "FORWARD",
            Level::ForwardTransitive => "FORWARD_TRANSITIVE",
            Level::Full => "FULL",
            Level::FullTransitive => "FULL_TRANSITIVE",
        })
    }
}

/// What the server says of a schema that is not registered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether it would register it.
    pub compatible: bool,
    /// Why not, as far as the server says.
    pub reasons: Vec<String>,
}
