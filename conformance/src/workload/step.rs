//! What can be done in a workload.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One step. One that has nothing to be done to, a member that is not there for instance, does nothing: so steps can be
/// left out when a workload shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nothing, for a while.
    Pause {
        /// Milliseconds.
        ms: u64,
    },
    /// A publisher gets messages to publish, and does so beside the steps that follow.
    Publish(Publish),
    /// A member joins a group.
    Join {
        /// Its number.
        member: usize,
        /// The group's.
        group: usize,
        /// How it settles.
        manners: Manners,
    },
    /// A member behaves otherwise from now on.
    Behave {
        /// Its number.
        member: usize,
        /// How it settles.
        manners: Manners,
    },
    /// A member closes in order.
    Leave {
        /// Its number.
        member: usize,
    },
    /// A member vanishes with everything that it holds.
    Drop {
        /// Its number.
        member: usize,
    },
    /// Something breaks.
    Fault(Fault),
}

/// What a publisher is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Its number.
    pub publisher: usize,
    /// How many messages.
    pub messages: u32,
    /// How many of them in one call.
    pub call: u32,
    /// Over how many keys; 0: without one.
    pub keys: u32,
    /// The size of a payload.
    pub bytes: u32,
    /// How many calls may wait for their confirmations before the next.
    pub ahead: u32,
    /// Between two calls.
    pub pause_ms: u64,
}

/// How a member treats what it gets: numbers out of 100 deliveries, what is left is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manners {
    /// The most messages that it holds.
    pub prefetch: u32,
    /// The most that it takes at once.
    pub take: u32,
    /// Negatively acknowledged.
    pub nack: u32,
    /// The delay that goes with it.
    pub delay_ms: u64,
    /// Dropped, which releases them.
    pub release: u32,
    /// Acknowledged later, while it goes on.
    pub hold: u32,
    /// How much later.
    pub hold_ms: u64,
    /// Given up.
    pub dead_letter: u32,
    /// A batch is settled in any order.
    pub shuffled: bool,
}

impl Manners {
    /// How much a member holds at most that no step lets join, and every one where all must hold the same
    /// ([`Possible::windows`](super::Possible::windows)).
    pub const WINDOW: u32 = 100;

    /// Acknowledges everything.
    pub const POLITE: Manners = Manners {
        prefetch: Self::WINDOW,
        take: 50,
        nack: 0,
        delay_ms: 0,
        release: 0,
        hold: 0,
        hold_ms: 0,
        dead_letter: 0,
        shuffled: false,
    };
}

/// Something that breaks while messages are on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// How many messages are published at that very moment.
    pub burst: u32,
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Every connection is reset.
    Cut,
    /// Every connection falls silent.
    Stall {
        /// For so long.
        ms: u64,
    },
    /// What clients send arrives, and no answer comes back; then every connection is reset.
    DropReplies {
        /// For so long.
        ms: u64,
    },
    /// A member process joins, works, and is killed.
    KillMember,
    /// The broker's process stops.
    PauseBroker {
        /// For so long.
        ms: u64,
    },
    /// The broker's process is killed, and started again.
    KillBroker,
}

impl Step {
    /// How many messages it publishes.
    pub fn messages(&self) -> u64 {
        match self {
            Step::Publish(publish) => u64::from(publish.messages),
            Step::Fault(fault) => u64::from(fault.burst),
            _ => 0,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Pause { ms } => write!(f, "pause for {ms} ms"),
            Step::Publish(publish) => publish.fmt(f),
            Step::Join { member, group, manners } => {
                write!(f, "member {member} joins group-{group}: {manners}")
            }
            Step::Behave { member, manners } => write!(f, "member {member} goes on otherwise: {manners}"),
            Step::Leave { member } => write!(f, "member {member} closes"),
            Step::Drop { member } => write!(f, "member {member} crashes"),
            Step::Fault(Fault { kind, burst }) => write!(f, "{kind}, with {burst} messages on the way"),
        }
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Publish { publisher, messages, call, keys, bytes, ahead, pause_ms } = self;
        write!(f, "publisher {publisher} publishes {messages} messages of {bytes} bytes, ")?;
        match keys {
            0 => write!(f, "without a key")?,
            1 => write!(f, "of one key")?,
            _ => write!(f, "of {keys} keys")?,
        }
        write!(f, ", {call} in a call")?;
        match ahead {
            0 => write!(f, ", each call awaited")?,
            _ => write!(f, ", {ahead} calls ahead of their confirmations")?,
        }
        if *pause_ms > 0 { write!(f, ", every {pause_ms} ms") } else { Ok(()) }
    }
}

impl fmt::Display for Manners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prefetch {}, takes {}", self.prefetch, self.take)?;
        let mut part = |share: u32, what: &str, ms: u64| match (share, ms) {
            (0, _) => Ok(()),
            (_, 0) => write!(f, ", {what} {share} %"),
            _ => write!(f, ", {what} {share} % for {ms} ms"),
        };
        part(self.nack, "puts back", self.delay_ms)?;
        part(self.release, "releases", 0)?;
        part(self.hold, "holds", self.hold_ms)?;
        part(self.dead_letter, "dead-letters", 0)?;
        if self.shuffled { write!(f, ", settles in any order") } else { Ok(()) }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::Cut => write!(f, "all connections are cut"),
            FaultKind::Stall { ms } => write!(f, "all connections are silent for {ms} ms"),
            FaultKind::DropReplies { ms } => {
                write!(f, "all answers are lost for {ms} ms, then all connections")
            }
            FaultKind::KillMember => write!(f, "a member process is killed"),
            FaultKind::PauseBroker { ms } => write!(f, "the broker is paused for {ms} ms"),
            FaultKind::KillBroker => write!(f, "the broker is killed and restarted"),
        }
    }
}
