//! What goes wrong with a consumer.

use std::time::Duration;

use anybroker_core::kit::AckPlan;
use anybroker_core::{Error, Fate, Kind, Result};

use super::{Adversary, Deed};

impl Adversary {
    /// Opening a consumer.
    pub(crate) fn opening(&self) -> Result<()> {
        self.fails(Deed::OpeningFails, Kind::Disconnected, "subscribe", "the broker cannot be reached")
    }

    /// Any moment in the life of a consumer.
    pub(crate) fn connection(&self) -> Result<()> {
        self.fails(Deed::ConnectionBreaks, Kind::Disconnected, "receive", "the connection broke")
    }

    /// Telling the broker what was recorded.
    pub(crate) fn flushing(&self) -> Result<()> {
        self.fails(Deed::FlushFails, Kind::TimedOut, "flush", "the broker did not answer")
    }

    /// Leaving a group in order.
    pub(crate) fn closing(&self) -> Result<()> {
        self.fails(Deed::CloseFails, Kind::TimedOut, "close", "the broker did not answer")
    }

    /// The broker has taken an acknowledgement, and says so.
    pub(crate) fn ack_answer(&self) -> Result<()> {
        self.fails(Deed::AckAnswerLost, Kind::TimedOut, "settle", "the broker did not answer")
    }

    /// Whether the last acknowledgements of a session reach the broker.
    pub(crate) fn lets_through(&self, plan: &AckPlan) -> bool {
        let any = plan.upto.is_some() || !plan.singles.is_empty();
        !(any && self.does(Deed::AcksForgotten))
    }

    /// For how long the deliveries of a partition stop now.
    pub(crate) fn stall(&self) -> Option<Duration> {
        self.takes(Deed::DeliveryStalls).map(|chance| self.within(chance, STALL))
    }

    /// What a session is told of a message that came back so often, and whether it is marked.
    pub(crate) fn marks(&self, attempts: u32, seen: bool) -> (u32, bool) {
        match attempts {
            0 if !seen => (0, self.does(Deed::MarkedUnseen)),
            _ if self.does(Deed::MarkForgotten) => (0, false),
            _ if self.does(Deed::CountForgotten) => (0, true),
            _ => (attempts, true),
        }
    }

    fn fails(&self, deed: Deed, kind: Kind, operation: &'static str, text: &str) -> Result<()> {
        if self.does(deed) {
            return Err(Error::new(kind, operation, text).with_fate(Fate::Unknown));
        }
        Ok(())
    }
}

/// Milliseconds.
const STALL: std::ops::Range<u64> = 10..2_000;
