//! The values that guarantees take, from weakest to strongest.

/// A value of a guarantee: it has a name, and says which needs it satisfies.
pub trait Level: Copy + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// Every value, weakest first.
    const ALL: &'static [Self];

    /// The value's name in tables, JSON and `--require`.
    fn as_str(self) -> &'static str;

    /// Whether somebody who needs `need` can be content with this.
    fn satisfies(self, need: Self) -> bool;

    /// The value of that name.
    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == name)
    }
}

macro_rules! level {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ } $satisfies:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl Level for $name {
            const ALL: &'static [Self] = &[$($name::$variant),+];

            fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            fn satisfies(self, need: Self) -> bool {
                let satisfies: fn(Self, Self) -> bool = $satisfies;
                satisfies(self, need)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

level! {
    /// Which messages keep the order in which they were published.
    Scope {
        /// None.
        None = "none",
        /// Those of one publisher.
        Publisher = "publisher",
        /// Those of one key.
        Key = "key",
        /// Those of one partition; a key always goes to the same one.
        Partition = "partition",
        /// Those of one queue, as far as one consumer sees it.
        Queue = "queue",
        /// All.
        Total = "total",
    } |has, need| match need {
        Scope::None => true,
        Scope::Key => has >= Scope::Key,
        Scope::Publisher => matches!(has, Scope::Publisher | Scope::Total),
        _ => has == need || has == Scope::Total,
    }
}

level! {
    /// Whether something holds.
    Kept {
        /// It does not.
        No = "no",
        /// It does.
        Yes = "yes",
    } |has, need| has >= need
}

level! {
    /// What a publish that fails means for later messages of its key.
    AfterFailure {
        /// They may be stored: the key has a gap.
        Gap = "gap",
        /// Those not yet sent are refused until the application resumes the key.
        Held = "held",
    } |has, need| has >= need
}

level! {
    /// How often a confirmed message is handed to a group.
    DeliveryLevel {
        /// Once or never.
        AtMostOnce = "at-most-once",
        /// Once or, after a failure, more often.
        AtLeastOnce = "at-least-once",
        /// Once, in effect, within transactions.
        ExactlyOnce = "exactly-once",
    } |has, need| has == need || (has == DeliveryLevel::ExactlyOnce && need == DeliveryLevel::AtLeastOnce)
}

level! {
    /// What becomes of a message that is published when no group exists.
    Unsubscribed {
        /// It is dropped.
        Dropped = "dropped",
        /// The publish fails.
        Refused = "refused",
        /// It is kept for groups to come.
        Kept = "kept",
    } |has, need| has >= need
}

level! {
    /// Whether the broker confirms what it has stored.
    Confirmation {
        /// A publish that returns proves nothing.
        None = "none",
        /// A receipt means that the broker has the message.
        Confirmed = "confirmed",
    } |has, need| has >= need
}

level! {
    /// What a confirmed message survives.
    Durability {
        /// Nothing: it is lost with the broker's process.
        Memory = "memory",
        /// The end of the broker's process (it is in the operating system's page cache).
        PageCache = "page-cache",
        /// A power cut (it was written through to the disk).
        Fsync = "fsync",
        /// The loss of a machine, but not of all replicas at once.
        Replicated = "replicated",
        /// The loss of a machine, and a power cut of all.
        ReplicatedFsync = "replicated-fsync",
    } |has, need| match need {
        Durability::Fsync => matches!(has, Durability::Fsync | Durability::ReplicatedFsync),
        _ => has >= need,
    }
}

level! {
    /// What an acknowledgement covers at the broker.
    Acknowledgement {
        /// A message and all before it.
        Cumulative = "cumulative",
        /// One message.
        Individual = "individual",
    } |has, need| has >= need
}

level! {
    /// What a settled acknowledgement means.
    Certainty {
        /// This session will not deliver the message again; the broker may, after a failure.
        Recorded = "recorded",
        /// The broker has it.
        Confirmed = "confirmed",
    } |has, need| has >= need
}

level! {
    /// How a redelivery can be told from a first delivery, also after a member has died.
    Redelivery {
        /// Not at all.
        Unmarked = "unmarked",
        /// By a flag.
        Flag = "flag",
        /// By a count of attempts.
        Count = "count",
    } |has, need| has >= need
}

level! {
    /// What only one consumer of a group holds at a time.
    Exclusivity {
        /// Nothing.
        None = "none",
        /// A partition, whose former owner cannot acknowledge, but may still be handling messages.
        Fenced = "fenced",
        /// The messages of a key.
        Key = "key",
        /// A partition.
        Partition = "partition",
        /// The queue.
        Queue = "queue",
    } |has, need| has >= need
}

level! {
    /// Which repeated publishes the broker stores once.
    Deduplication {
        /// None.
        None = "none",
        /// Resends by the client, within one producer session.
        ProducerSession = "producer-session",
        /// All of one message id within a time window.
        Window = "window",
    } |has, need| has >= need
}

level! {
    /// How a message reaches the dead letter topic.
    DeadLetter {
        /// There is none.
        None = "none",
        /// It may be lost on the way.
        AtMostOnce = "at-most-once",
        /// It may come twice, and is never lost.
        AtLeastOnce = "at-least-once",
    } |has, need| has >= need
}

level! {
    /// Whether several groups each get every message.
    FanOut {
        /// There is one group.
        None = "none",
        /// The publisher sends a copy to every group: asked for by name, not atomic.
        Emulated = "emulated",
        /// The broker does it.
        Groups = "groups",
    } |has, need| has >= need
}

level! {
    /// Whether messages can be read again after they were acknowledged.
    Replay {
        /// No.
        None = "none",
        /// From the earliest that is kept.
        Earliest = "earliest",
        /// From any position or time.
        Position = "position",
    } |has, need| has >= need
}

level! {
    /// How long a delivery may be held.
    Lease {
        /// For a fixed time.
        Fixed = "fixed",
        /// For a time that the client extends.
        Extendable = "extendable",
        /// For as long as the session lives.
        Session = "session",
    } |has, need| has >= need
}

level! {
    /// What can be delayed.
    Delay {
        /// Nothing.
        None = "none",
        /// A redelivery.
        Redelivery = "redelivery",
        /// A redelivery and a publish.
        Publish = "publish",
    } |has, need| has >= need
}

level! {
    /// What is atomic across messages.
    Transactions {
        /// Nothing.
        None = "none",
        /// Reading, processing and writing within the broker.
        ReadProcessWrite = "read-process-write",
    } |has, need| has >= need
}
