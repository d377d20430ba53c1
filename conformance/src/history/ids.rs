//! Small numbers that stand for the strings of a history, so that an event takes bytes, not allocations.

use std::num::NonZeroU32;

/// Declares a number for one kind of thing. It counts from one inside, so that an `Option` of it takes no more room.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(NonZeroU32);

        impl $name {
            /// The thing at `index` of its list.
            pub(crate) fn new(index: usize) -> Self {
                Self(NonZeroU32::MIN.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)))
            }

            /// Where it stands in its list.
            pub(crate) fn index(self) -> usize {
                self.0.get() as usize - 1
            }
        }
    };
}

id!(
    /// A message, published or merely delivered.
    MessageId
);
id!(
    /// A delivery of a message to a session.
    DeliveryId
);
id!(
    /// A consumer session.
    SessionId
);
id!(
    /// A consumer group on one topic.
    GroupId
);
id!(
    /// A transaction.
    TransactionId
);
id!(
    /// A topic, key, publisher, consumer or other name.
    Name
);
id!(
    /// An event's place in the history, counting events only: comparing two says which came first.
    At
);
id!(
    /// A partition's number.
    Partition
);
