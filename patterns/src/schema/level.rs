//! What a server lets the next version of a type do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the server checks before it registers a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Level {
    /// Nothing.
    None,
    /// It takes no version. Only AWS Glue has it.
    Disabled,
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

impl Level {
    const ALL: [Level; 8] = [
        Level::None,
        Level::Disabled,
        Level::Backward,
        Level::BackwardTransitive,
        Level::Forward,
        Level::ForwardTransitive,
        Level::Full,
        Level::FullTransitive,
    ];
}

impl FromStr for Level {
    type Err = String;

    /// As it is displayed, or in small letters with hyphens: `backward-transitive`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.replace('-', "_").to_ascii_uppercase();
        let found = Level::ALL.into_iter().find(|level| level.to_string() == wanted);
        found.ok_or_else(|| {
            "a level is none, disabled, backward, forward, full, or one of these three and -transitive"
                .to_owned()
        })
    }
}

impl fmt::Display for Level {
    /// As Confluent's protocol writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::None => "NONE",
            Level::Disabled => "DISABLED",
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
