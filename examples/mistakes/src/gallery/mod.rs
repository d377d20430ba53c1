//! The mistakes, one file each.

mod ack_before_effect;
mod dedup_after_effect;
mod non_idempotent_payment;

use crate::Mistake;

/// All of them, simplest first.
pub const GALLERY: &[Mistake] =
    &[non_idempotent_payment::MISTAKE, ack_before_effect::MISTAKE, dedup_after_effect::MISTAKE];
