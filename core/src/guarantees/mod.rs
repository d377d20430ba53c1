//! Guarantees are data: what a backend promises for the configuration that it really runs with.
//!
//! One declaration below makes the struct, its requirements, the check between the two and the table, so that
//! they cannot drift apart.

mod level;
mod table;

use std::borrow::Cow;
use std::time::Duration;

pub use level::{
    Acknowledgement, AfterFailure, Certainty, Confirmation, DeadLetter, Deduplication, Delay, DeliveryLevel,
    Durability, Exclusivity, FanOut, Kept, Lease, Level, Redelivery, Replay, Scope, Transactions,
    Unsubscribed,
};
pub use table::{RowView, Unmet};

use crate::error::{Error, Kind, Result};

/// How a row is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Asked of the server.
    Probed,
    /// Declaring it again with equal arguments succeeded.
    Declared,
    /// The adapter does it, whatever the server.
    Client,
    /// The broker documents it for this version and configuration.
    Documented,
    /// The user said so, because the protocol cannot tell.
    Stated,
    /// Nobody knows: it satisfies no requirement but the weakest.
    Unknown,
}

impl Basis {
    /// The basis in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::Probed => "probed",
            Basis::Declared => "declared",
            Basis::Client => "client",
            Basis::Documented => "documented",
            Basis::Stated => "stated",
            Basis::Unknown => "unknown",
        }
    }
}

/// One guarantee: its value, how it is known, who documents it, and what would raise it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<T> {
    /// What holds. For [`Basis::Unknown`], the weakest that may hold.
    pub value: T,
    /// How it is known.
    pub basis: Basis,
    /// The documentation that says so.
    pub source: &'static str,
    /// The conditions under which it holds, or what it was concluded from.
    pub because: Cow<'static, str>,
    /// What to change to get more, down to the URL parameter.
    pub raise: Option<Cow<'static, str>>,
}

impl<T: Level> Row<T> {
    /// A row with its basis and source.
    pub fn new(value: T, basis: Basis, source: &'static str) -> Self {
        Row { value, basis, source, because: Cow::Borrowed(""), raise: None }
    }

    /// A row that nobody can vouch for: the weakest value.
    pub fn unknown(source: &'static str) -> Self {
        Self::new(T::ALL[0], Basis::Unknown, source)
    }

    /// Adds the conditions.
    pub fn because(mut self, because: impl Into<Cow<'static, str>>) -> Self {
        self.because = because.into();
        self
    }

    /// Adds what would raise it.
    pub fn raise(mut self, raise: impl Into<Cow<'static, str>>) -> Self {
        self.raise = Some(raise.into());
        self
    }

    fn satisfies(&self, need: T) -> bool {
        // The weakest value asks for nothing, so even an unknown row has it.
        need == T::ALL[0] || (self.basis != Basis::Unknown && self.value.satisfies(need))
    }
}

/// Sizes that bound a topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// The largest message in bytes, as [`Message::size`](crate::Message::size) counts it; none if unlimited or unknown.
    pub message_bytes: Option<usize>,
    /// The most messages in one request; larger batches are split.
    pub batch: Option<usize>,
    /// The most deliveries that one consumer holds unsettled.
    pub in_flight: Option<usize>,
    /// The deduplication window.
    pub deduplication_window: Option<Duration>,
    /// How long a delivery may be held, where that is limited.
    pub lease: Option<Duration>,
}

macro_rules! guarantees {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)+) => {
        /// What a backend promises, row by row. Exhaustive on purpose: a new row must break every adapter and
        /// force a decision.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Guarantees {
            /// The backend's name.
            pub backend: &'static str,
            /// The server's version, where it says it.
            pub version: Option<String>,
            $($(#[$doc])* pub $field: Row<$type>,)+
            /// Sizes that bound a topic.
            pub limits: Limits,
        }

        impl Guarantees {
            /// All rows in the order of the table.
            pub fn rows(&self) -> Vec<RowView<'_>> {
                vec![$(RowView::new(stringify!($field), &self.$field)),+]
            }
        }

        /// What an application needs. An unset row asks for nothing.
        ///
        /// ```
        /// use anybroker_core::{DeliveryLevel, Requirements, Scope};
        /// let built = Requirements::new().ordering(Scope::Key).delivery(DeliveryLevel::AtLeastOnce);
        /// assert_eq!(built, "ordering=key,delivery=at-least-once".parse()?);
        /// # Ok::<(), anybroker_core::Error>(())
        /// ```
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Requirements {
            $($field: Option<$type>,)+
        }

        impl Requirements {
            $($(#[$doc])*
            pub fn $field(mut self, needed: $type) -> Self {
                self.$field = Some(needed);
                self
            })+

            /// The rows of `given` that do not satisfy this.
            pub fn unmet(&self, given: &Guarantees) -> Vec<Unmet> {
                let mut unmet = Vec::new();
                $(if let Some(need) = self.$field && !given.$field.satisfies(need) {
                    unmet.push(Unmet::new(stringify!($field), need, &given.$field));
                })+
                unmet
            }

            fn set(&mut self, field: &str, value: &str) -> Result<()> {
                match field {
                    $(stringify!($field) => self.$field = Some(parse_level(field, value)?),)+
                    _ => return Err(unknown_field(field, &[$(stringify!($field)),+])),
                }
                Ok(())
            }
        }
    };
}

guarantees! {
    /// Which messages keep their order of publishing when they are delivered first (P7).
    ordering: Scope,
    /// Whether a message that is delivered again comes before the later ones of its key (P7r).
    order_after_redelivery: Kept,
    /// Whether order holds while several members of a group compete (P7, P8).
    order_across_consumers: Kept,
    /// Whether order holds when a member dies (P7 across a death).
    order_after_member_death: Kept,
    /// What a failed publish means for the later messages of its key.
    order_after_failed_publish: AfterFailure,
    /// How often a confirmed message is handed to a group (P3, P4, P6).
    delivery: DeliveryLevel,
    /// What becomes of a message published before any group exists.
    unsubscribed_publish: Unsubscribed,
    /// Whether the broker confirms what it has stored.
    publish_confirmation: Confirmation,
    /// What a confirmed message survives (P3 across faults).
    durability_on_confirm: Durability,
    /// What an acknowledgement covers at the broker.
    acknowledgement: Acknowledgement,
    /// What a settled acknowledgement means (P6b).
    settlement: Certainty,
    /// How a redelivery is marked (P9).
    redelivery: Redelivery,
    /// What only one consumer of a group holds at a time (P8).
    exclusivity: Exclusivity,
    /// Which repeated publishes are stored once (P5, P11).
    deduplication: Deduplication,
    /// How a message reaches the dead letter topic (P10).
    dead_letter: DeadLetter,
    /// Whether several groups each get every message (P14).
    fan_out: FanOut,
    /// Whether messages can be read again (P16).
    replay: Replay,
    /// How long a delivery may be held.
    lease: Lease,
    /// What can be delayed (P12).
    delay: Delay,
    /// What is atomic across messages (P15).
    transactions: Transactions,
}

impl Requirements {
    /// Nothing required.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses `given` unless it satisfies every row. `place` names what was asked, for the text.
    ///
    /// # Errors
    /// [`Kind::Unmet`], whose text is the table of unmet rows with what would satisfy each.
    pub fn verify(&self, given: &Guarantees, place: &str) -> Result<()> {
        let unmet = self.unmet(given);
        if unmet.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::Unmet, "open", table::refusal(&unmet)).on(place.to_owned()))
    }
}

impl std::str::FromStr for Requirements {
    type Err = Error;

    /// Reads `row=value,row=value`; rows may be written with `-` or `_`.
    fn from_str(text: &str) -> Result<Self> {
        let mut requirements = Self::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (field, value) = part.split_once('=').ok_or_else(|| {
                Error::new(
                    Kind::InvalidConfiguration,
                    "require",
                    format!("`{part}` is not of the form row=value"),
                )
            })?;
            requirements.set(&field.trim().replace('-', "_"), value.trim())?;
        }
        Ok(requirements)
    }
}

fn parse_level<T: Level>(field: &str, value: &str) -> Result<T> {
    T::parse(value).ok_or_else(|| {
        let all: Vec<_> = T::ALL.iter().map(|v| v.as_str()).collect();
        let text = format!("`{}` is no value of {}", value, field.replace('_', "-"));
        Error::new(Kind::InvalidConfiguration, "require", text).advice(format!("one of: {}", all.join(", ")))
    })
}

fn unknown_field(field: &str, all: &[&str]) -> Error {
    let text = format!("there is no guarantee `{}`", field.replace('_', "-"));
    Error::new(Kind::InvalidConfiguration, "require", text)
        .advice(format!("one of: {}", all.join(", ").replace('_', "-")))
}

#[cfg(test)]
mod tests;
