//! Runs seeds on several threads, and finds the lowest that fails.

use std::sync::atomic::{AtomicU64, Ordering};

/// The lowest of the seeds that fails: whichever thread finds one first, those below it are run too.
pub(crate) fn lowest(seeds: u64, threads: usize, fails: impl Fn(u64) -> bool + Sync) -> Option<u64> {
    let (next, found) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || seed > found.load(Ordering::Relaxed) {
                return;
            }
            if fails(seed) {
                found.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| _ = scope.spawn(work)));
    Some(found.into_inner()).filter(|seed| *seed != u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_is_found_on_any_number_of_threads() {
        for threads in [1, 2, 7] {
            assert_eq!(lowest(1_000, threads, |seed| seed % 100 >= 42), Some(42));
            assert_eq!(lowest(42, threads, |seed| seed >= 42), None);
        }
    }
}
