//! The kinds of what can be seen.

use std::fmt;

macro_rules! kinds {
    ($($name:ident = $text:literal,)+) => {
        /// A kind of what is seen in a history.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Seen { $(#[doc = $text] $name,)+ }

        impl Seen {
            /// In words.
            pub fn as_str(self) -> &'static str {
                match self { $(Seen::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    Confirmed = "a publish is confirmed, and delivered",
    ConfirmedAndLost = "a publish is confirmed, and not delivered",
    ToldDuplicate = "a publish is confirmed as a duplicate",
    Failed = "a publish fails, and is not delivered",
    FailedAndDelivered = "a publish fails, and is delivered",
    UnknownAndDelivered = "the outcome of a publish is unknown, and it is delivered",
    UnknownAndLost = "the outcome of a publish is unknown, and it is not delivered",
    StoredTwice = "a message is stored twice",
    First = "a first delivery is neither marked nor counted",
    FirstMarked = "a first delivery is marked",
    FirstCounted = "a first delivery is counted as a later attempt",
    AgainHere = "a message comes again to its session, marked",
    AgainHereUnmarked = "a message comes again to its session, unmarked",
    AgainElsewhere = "a message comes again to another session, marked, and its count goes on",
    AgainElsewhereUncounted = "a message comes again to another session, marked, and its count begins anew",
    AgainElsewhereUnmarked = "a message comes again to another session, unmarked",
    AckConfirmed = "an acknowledgement is confirmed",
    AckRecorded = "an acknowledgement is recorded",
    AckUnanswered = "an acknowledgement has no answer",
    AckRefused = "an acknowledgement is refused",
    NackRefused = "a negative acknowledgement is refused",
    DeadLetterRefused = "giving a message up is refused",
    ConfirmedAckRewound = "a message comes again after a confirmed acknowledgement",
    RecordedAckRewound = "a message comes again after a recorded acknowledgement",
    UnansweredAckRewound = "a message comes again after an acknowledgement without an answer",
    HeldTwice = "two members hold the same message",
    KeyHeldTwice = "two members hold messages of one key",
    KeyOvertaken = "a message comes first after a later one of its key",
    Overtaken = "a message comes first after a later one of another key",
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
