//! Makes a schedule shorter, as long as it still fails.

use std::collections::BTreeSet;

use anybroker_memory::{Chance, Schedule};

/// The shortest schedule that was found, and how many runs it took.
pub(crate) fn shrink(
    schedule: Schedule,
    most: usize,
    mut fails: impl FnMut(&Schedule) -> bool,
) -> (Schedule, usize) {
    let seed = schedule.seed;
    let mut kept: Vec<Chance> = schedule.only.into_iter().flatten().collect();
    let mut runs = 0;
    let mut size = kept.len();
    while size > 0 && runs < most {
        let mut at = 0;
        let mut shorter = false;
        while at < kept.len() && runs < most {
            let rest = without(&kept, at, size);
            runs += 1;
            if fails(&Schedule { seed, only: Some(rest.iter().copied().collect()) }) {
                kept = rest;
                shorter = true;
            } else {
                at += size;
            }
        }
        // Single ones are tried until each of them is needed.
        size = if size > 1 { size / 2 } else { usize::from(shorter) };
    }
    (Schedule { seed, only: Some(kept.into_iter().collect::<BTreeSet<_>>()) }, runs)
}

fn without(chances: &[Chance], at: usize, size: usize) -> Vec<Chance> {
    let end = (at + size).min(chances.len());
    [&chances[..at], &chances[end..]].concat()
}

#[cfg(test)]
mod tests {
    use anybroker_memory::Deed;

    use super::*;

    #[test]
    fn what_is_needed_remains() {
        let chances = (0..100).map(|number| Chance { deed: Deed::PublishLost, number });
        let all = Schedule { seed: 1, only: Some(chances.collect()) };
        let needed = |schedule: &Schedule| {
            let only = schedule.only.as_ref().unwrap();
            [17, 60].iter().all(|number| only.iter().any(|chance| chance.number == *number))
        };
        let (shortest, runs) = shrink(all.clone(), 1_000, needed);
        assert_eq!(shortest.to_string(), "1:publish-lost.17,publish-lost.60");
        assert!(runs < 60, "{runs} runs");
        assert_eq!(shrink(all, 3, needed).1, 3, "it is bounded");
    }
}
