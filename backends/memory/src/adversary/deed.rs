//! What may happen, how likely it is each time, and where it is legal.

use anybroker_core::{
    Certainty, DeliveryLevel, Exclusivity, Guarantees, Level as _, Redelivery, Transactions,
};

macro_rules! deeds {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $per_mille:literal, $legal:expr;)+) => {
        /// One thing that goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Deed { $($(#[$doc])* $name,)+ }

        impl Deed {
            /// All of them.
            pub const ALL: &'static [Deed] = &[$(Deed::$name),+];

            /// Its name.
            pub fn as_str(self) -> &'static str {
                match self { $(Deed::$name => $text,)+ }
            }

            /// How often in a thousand chances.
            pub(crate) fn per_mille(self) -> u64 {
                match self { $(Deed::$name => $per_mille,)+ }
            }

            /// Whether what is promised leaves room for it.
            pub(crate) fn is_legal(self, guarantees: &Guarantees) -> bool {
                let legal: fn(&Guarantees) -> bool = match self { $(Deed::$name => $legal,)+ };
                legal(guarantees)
            }
        }
    };
}

deeds! {
    /// A publish is refused, and certainly not stored.
    PublishRefused = "publish-refused", 15, |_| true;
    /// A publish is lost on its way: its fate is unknown, and it is not stored.
    PublishLost = "publish-lost", 15, |_| true;
    /// The broker has stored it, and its answer is lost: its fate is unknown.
    ConfirmationLost = "confirmation-lost", 20, |_| true;
    /// The confirmation comes late.
    ConfirmedLate = "confirmed-late", 20, |_| true;
    /// Opening a consumer fails: the broker cannot be reached at this moment.
    OpeningFails = "opening-fails", 50, |_| true;
    /// The connection of a consumer breaks; whatever it holds comes again, to others.
    ConnectionBreaks = "connection-breaks", 4, unguarded;
    /// A member is expelled from its group and joins again: it loses what it has in hand without being asked.
    MemberExpelled = "member-expelled", 8, |g| stores(g) && unguarded(g);
    /// Recorded acknowledgements do not reach the broker for now.
    CommitDelayed = "commit-delayed", 500, recorded;
    /// Recorded acknowledgements never reach the broker: the session ends, or the partition moves, before.
    AcksForgotten = "acks-forgotten", 500, recorded;
    /// What was recorded cannot be told the broker: flushing fails.
    FlushFails = "flush-fails", 100, recorded;
    /// Closing fails: what was recorded is forgotten.
    CloseFails = "close-fails", 100, recorded;
    /// The broker has taken an acknowledgement, and its answer is lost.
    AckAnswerLost = "ack-answer-lost", 20, stores;
    /// A transaction is refused, as its group shares out anew at this moment: nothing of it happens.
    CommitRefused = "commit-refused", 60, transactional;
    /// A commit is lost on its way: its fate is unknown, and nothing of it happens.
    CommitLost = "commit-lost", 30, transactional;
    /// The broker has committed a transaction, and its answer is lost: its fate is unknown.
    CommitAnswerLost = "commit-answer-lost", 30, transactional;
    /// A partition's deliveries stop for a while.
    DeliveryStalls = "delivery-stalls", 3, stores;
    /// A redelivery looks like a first delivery.
    MarkForgotten = "mark-forgotten", 500, |g| stores(g) && g.redelivery.value == Redelivery::Unmarked;
    /// A redelivery is marked, and its count begins anew.
    CountForgotten = "count-forgotten", 500, |g| stores(g) && g.redelivery.value != Redelivery::Count;
    /// A first delivery is marked as a redelivery: it was on its way to somebody who never saw it.
    MarkedUnseen = "marked-unseen", 20, |g| stores(g) && g.redelivery.value != Redelivery::Count;
    /// A message is lost without a word.
    MessageLost = "message-lost", 30, |g| !stores(g);
    /// A message comes after later ones.
    DeliveredLate = "delivered-late", 30, |g| !stores(g);
    /// The process that uses the broker is killed. The broker cannot do that; a test kit does, by
    /// [`Adversary::kills`](super::Adversary::kills).
    ProcessKilled = "process-killed", 8, |_| true;
}

fn stores(guarantees: &Guarantees) -> bool {
    guarantees.delivery.value != DeliveryLevel::AtMostOnce
}

/// A consumer may lose what it holds to another.
fn unguarded(guarantees: &Guarantees) -> bool {
    guarantees.exclusivity.value <= Exclusivity::Fenced
}

fn transactional(guarantees: &Guarantees) -> bool {
    guarantees.transactions.value.satisfies(Transactions::ReadProcessWrite)
}

fn recorded(guarantees: &Guarantees) -> bool {
    stores(guarantees) && guarantees.settlement.value == Certainty::Recorded
}
