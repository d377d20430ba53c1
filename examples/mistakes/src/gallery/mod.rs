//! The mistakes, one file each.

mod ack_before_effect;
mod dedup_after_effect;
mod non_idempotent_payment;
mod offset_past_unfinished;
mod order_across_keys;
mod poison_loop;
mod read_model_without_checkpoint;
mod retry_topic_breaks_order;
mod saga_step_repeated;
mod timeout_as_failure;

use crate::Mistake;

/// All of them, simplest first.
pub const GALLERY: &[Mistake] = &[
    non_idempotent_payment::MISTAKE,
    ack_before_effect::MISTAKE,
    order_across_keys::MISTAKE,
    dedup_after_effect::MISTAKE,
    offset_past_unfinished::MISTAKE,
    saga_step_repeated::MISTAKE,
    read_model_without_checkpoint::MISTAKE,
    retry_topic_breaks_order::MISTAKE,
    timeout_as_failure::MISTAKE,
    poison_loop::MISTAKE,
];
