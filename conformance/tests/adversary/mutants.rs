//! What a broker may not do, done to what a legal one recorded.

use anybroker_conformance::history::Sketch;
use anybroker_conformance::properties::Property;
use proptest::prelude::*;

use super::dice::Dice;
use super::{broken, log, log_changes, queue, queue_changes};

/// A change that breaks one property.
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    history: fn(u64, usize) -> Sketch,
    root: Property,
    consequences: &'static [Property],
    /// Makes the change, if the history has a place for it.
    change: fn(&mut Sketch, &mut Dice) -> Option<()>,
}

/// Whether the change could be made; if so, it is named, and nothing outside it.
pub(crate) fn is_named(mutant: &Mutant, seed: u64, steps: usize) -> Result<bool, TestCaseError> {
    let mut sketch = (mutant.history)(seed, steps);
    if (mutant.change)(&mut sketch, &mut Dice::new(seed)).is_none() {
        return Ok(false);
    }
    let broken = broken(&sketch);
    let text = || String::from_utf8_lossy(&sketch.bytes()).into_owned();
    prop_assert!(broken.contains(&mutant.root), "{} is not named: {broken:?}\n{}", mutant.name, text());
    let misnamed = broken.iter().find(|it| **it != mutant.root && !mutant.consequences.contains(it));
    prop_assert!(misnamed.is_none(), "{} is misnamed: {broken:?}\n{}", mutant.name, text());
    Ok(true)
}

use Property::*;

macro_rules! mutants {
    ($($module:ident :: $change:ident $history:path, $root:ident $consequences:expr;)*) => {
        pub(crate) const ALL: &[Mutant] = &[$(Mutant {
            name: stringify!($change),
            history: $history,
            root: $root,
            consequences: &$consequences,
            change: $module::$change,
        },)*];
    };
}

mutants! {
    queue_changes::changes_a_payload queue::history, P1 [];
    log_changes::changes_a_key log::history, P1 [];
    queue_changes::invents_a_message queue::history, P1 [];
    queue_changes::invents_a_message log::history, P1 [];
    queue_changes::says_failed_but_stores queue::history, P2 [];
    log_changes::loses_a_message log::history, P3p [P3, P14];
    queue_changes::loses_for_one_group queue::history, P14 [P3];
    queue_changes::drops_what_was_nacked queue::history, P3 [];
    log_changes::stores_twice log::history, P5 [];
    queue_changes::delivers_again_early queue::history, P6 [];
    queue_changes::resurrects_what_was_acknowledged queue::history, P6b [];
    queue_changes::swaps_fresh_messages queue::history, P7 [];
    log_changes::overtakes_a_redelivery log::history, P7r [];
    log_changes::gives_a_partition_to_two log::history, P8 [];
    queue_changes::clears_a_mark queue::history, P9 [P10];
    queue_changes::never_dead_letters queue::history, P10 [P3];
    queue_changes::dead_letters_what_is_fresh queue::history, P10 [];
    queue_changes::delivers_a_duplicate queue::history, P11 [];
    queue_changes::suppresses_what_is_new queue::history, P11b [P3, P14];
    queue_changes::ignores_a_delay queue::history, P12 [];
    queue_changes::ignores_the_window queue::history, P13 [];
    log_changes::shows_what_was_aborted log::history, P15 [];
    log_changes::tears_a_transaction log::history, P15 [P3, P3p, P14];
    log_changes::goes_back_without_a_cause log::history, P16 [P6, P6b];
    log_changes::renumbers log::history, P16 [P5, P3p];
    queue_changes::is_slow_to_recover queue::history, P17 [];
}
