//! How instances and their steps stand.

use std::fmt;
use std::str::FromStr;

use anybroker_core::{Error, Kind};

macro_rules! words {
    ($(#[$meta:meta])* $visible:vis enum $type:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        $visible enum $type { $($(#[$doc])* $variant,)* }

        impl $type {
            /// The word for it, in the tables and on the command line.
            $visible fn as_str(self) -> &'static str {
                match self { $($type::$variant => $word,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                match text {
                    $($word => Ok($type::$variant),)*
                    _ => Err(Error::new(Kind::InvalidConfiguration, "read a state", format!("there is no state `{text}`"))
                        .advice(concat!("one of:" $(, " ", $word)*))),
                }
            }
        }
    };
}

words! {
    /// How an instance stands.
    pub enum State {
        /// It goes forward, or waits for the next thing.
        Running = "running",
        /// It goes back: what was done is compensated, the last first.
        Compensating = "compensating",
        /// Every step is done.
        Completed = "completed",
        /// It did not succeed, and everything that was done is compensated.
        Compensated = "compensated",
        /// The events did not all come in time.
        Incomplete = "incomplete",
        /// It cannot go on by itself, and waits for somebody to look.
        Parked = "parked",
        /// Somebody ended it.
        Abandoned = "abandoned",
    }
}

words! {
    /// How a step of an instance stands.
    pub enum StepState {
        /// It has been tried, and is tried again.
        Begun = "begun",
        /// It succeeded.
        Done = "done",
        /// It was given up, and had no effect.
        Failed = "failed",
        /// It was given up, and may have had its effect.
        Unsure = "unsure",
        /// It was undone.
        Compensated = "compensated",
    }
}

impl State {
    /// Nothing happens to it any more.
    pub fn is_ended(self) -> bool {
        !matches!(self, State::Running | State::Compensating | State::Parked)
    }
}
