//! The names of the properties.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares the properties with their names in the file format and in words.
macro_rules! properties {
    ($($variant:ident $name:literal $words:literal,)*) => {
        /// A property that a history can be held to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Property {
            $(
                #[doc = $words]
                #[serde(rename = $name)]
                $variant,
            )*
        }

        impl Property {
            /// All of them, in their order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the file format, for example `P7`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it is about, in a few words.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$variant => $words,)*
                }
            }
        }
    };
}

properties! {
    P1 "P1" "no phantom",
    P2 "P2" "no failed publish visible",
    P3 "P3" "no loss",
    P3p "P3p" "no loss before a delivered message",
    P4 "P4" "at most once",
    P5 "P5" "no duplicate write",
    P6 "P6" "no redelivery without a cause",
    P6b "P6b" "acknowledged is final",
    P7 "P7" "first in, first out",
    P7r "P7r" "order kept across redelivery",
    P8 "P8" "exclusive",
    P9 "P9" "redeliveries are marked",
    P10 "P10" "delivery limit and dead letter",
    P11 "P11" "deduplication",
    P11b "P11b" "no false deduplication",
    P12 "P12" "not before the delay",
    P13 "P13" "window of unacknowledged deliveries",
    P14 "P14" "fan-out",
    P15 "P15" "transactions are atomic",
    P16 "P16" "consistent positions",
    P17 "P17" "progress",
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
