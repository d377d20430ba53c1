//! What decides.

use anybroker_core::Result;

use super::{NewEvent, Recorded};

/// A thing whose state is the sum of its events, and which decides what happens next. Both functions are pure: the same
/// state and command always give the same events.
///
/// ```
/// use anybroker_core::Event;
/// use anybroker_patterns::event_store::{Aggregate, testing::given};
/// use anybroker_patterns::events;
///
/// #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Deposited { cents: u64 }
/// impl Event for Deposited { const TYPE: &'static str = "account.deposited"; }
/// #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Withdrawn { cents: u64 }
/// impl Event for Withdrawn { const TYPE: &'static str = "account.withdrawn"; }
///
/// events! {
///     #[derive(Clone, Debug, PartialEq)]
///     enum AccountEvent { Deposited(Deposited), Withdrawn(Withdrawn) }
/// }
///
/// #[derive(Clone)]
/// enum Command { Deposit(u64), Withdraw(u64) }
/// #[derive(Debug, PartialEq)]
/// struct Insufficient { balance: u64 }
///
/// #[derive(Default)]
/// struct Account { balance: u64 }
/// impl Aggregate for Account {
///     const NAME: &'static str = "account";
///     type Command = Command;
///     type Event = AccountEvent;
///     type Error = Insufficient;
///     fn apply(&mut self, event: &AccountEvent) {
///         match event {
///             AccountEvent::Deposited(event) => self.balance += event.cents,
///             AccountEvent::Withdrawn(event) => self.balance -= event.cents,
///         }
///     }
///     fn decide(&self, command: Command) -> Result<Vec<AccountEvent>, Insufficient> {
///         match command {
///             Command::Deposit(cents) => Ok(vec![Deposited { cents }.into()]),
///             Command::Withdraw(cents) if cents <= self.balance => Ok(vec![Withdrawn { cents }.into()]),
///             Command::Withdraw(_) => Err(Insufficient { balance: self.balance }),
///         }
///     }
/// }
///
/// given::<Account>([Deposited { cents: 500 }.into()])
///     .when(Command::Withdraw(200))
///     .then([Withdrawn { cents: 200 }.into()]);
/// given::<Account>([Deposited { cents: 100 }.into()])
///     .when(Command::Withdraw(200))
///     .then_error(Insufficient { balance: 100 });
/// ```
pub trait Aggregate: Default + Send + Sync {
    /// What its streams' names begin with: `order` makes `order-7`.
    const NAME: &'static str;
    /// What may be asked of it.
    type Command: Send;
    /// What can have happened to it.
    type Event: AggregateEvent;
    /// Why it refuses a command.
    type Error: Send;

    /// Takes an event into the state. It has happened: it cannot be refused.
    fn apply(&mut self, event: &Self::Event);

    /// What happens on a command, given the state; no events if nothing does.
    ///
    /// # Errors
    /// The command is refused.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;
}

/// The events of an aggregate; [`events!`](crate::events) makes an enum one of them.
pub trait AggregateEvent: Sized + Send + Sync {
    /// The event to append.
    ///
    /// # Errors
    /// `Decode` if it cannot be written as JSON.
    fn to_new(&self) -> Result<NewEvent>;

    /// The event that was stored, which the upcasters have made the newest version.
    ///
    /// # Errors
    /// `Decode` names an event that is not the aggregate's, or does not decode.
    fn from_recorded(event: &Recorded) -> Result<Self>;
}

/// Declares an enum of an aggregate's events, each variant one type that implements [`anybroker_core::Event`].
///
/// See [`Aggregate`](crate::event_store::Aggregate).
#[macro_export]
macro_rules! events {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident($event:ty)),+ $(,)?
    }) => {
        $(#[$meta])*
        $visibility enum $name {
            $($(#[$variant_meta])* $variant($event),)+
        }

        impl $crate::event_store::AggregateEvent for $name {
            fn to_new(
                &self,
            ) -> ::std::result::Result<$crate::event_store::NewEvent, $crate::event_store::EventError> {
                match self {
                    $(Self::$variant(event) => $crate::event_store::NewEvent::of(event),)+
                }
            }

            fn from_recorded(
                event: &$crate::event_store::Recorded,
            ) -> ::std::result::Result<Self, $crate::event_store::EventError> {
                $(if event.is::<$event>() {
                    return event.event::<$event>().map(Self::$variant);
                })+
                ::std::result::Result::Err(event.unknown_to(stringify!($name)))
            }
        }

        $(impl ::std::convert::From<$event> for $name {
            fn from(event: $event) -> Self {
                Self::$variant(event)
            }
        })+
    };
}
