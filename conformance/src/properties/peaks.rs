//! The greatest value among the events of a scope between two events.

use crate::history::At;

/// Values of events, by scope, in a tree of maxima: a range is searched in logarithmic time.
#[derive(Debug)]
pub(crate) struct Peaks<K, V> {
    entries: Vec<(K, At, u64, V)>,
    tree: Vec<u32>,
}

impl<K: Ord + Copy, V: Copy> Peaks<K, V> {
    /// Of entries in any order: the scope, the event, its value, and what to find.
    pub(crate) fn new(mut entries: Vec<(K, At, u64, V)>) -> Self {
        entries.sort_unstable_by_key(|entry| (entry.0, entry.1));
        let leaves = entries.len();
        let mut peaks = Self { entries, tree: vec![0; leaves * 2] };
        for leaf in 0..leaves {
            peaks.tree[leaves + leaf] = leaf as u32;
        }
        for node in (1..leaves).rev() {
            peaks.tree[node] = peaks.greater(peaks.tree[node * 2], peaks.tree[node * 2 + 1]);
        }
        peaks
    }

    /// The event with the greatest value in `scope` after one event and before another: its place, value and content.
    pub(crate) fn between(&self, scope: K, after: At, before: At) -> Option<(At, u64, V)> {
        let start = self.entries.partition_point(|entry| (entry.0, entry.1) <= (scope, after));
        let end = self.entries.partition_point(|entry| (entry.0, entry.1) < (scope, before));
        let (_, at, value, content) = self.entries[self.peak(start, end)? as usize];
        Some((at, value, content))
    }

    fn peak(&self, start: usize, end: usize) -> Option<u32> {
        let (mut low, mut high) = (start + self.entries.len(), end + self.entries.len());
        let mut best = None;
        let mut take = |node: usize| {
            let entry = self.tree[node];
            best = Some(best.map_or(entry, |other| self.greater(other, entry)));
        };
        while low < high {
            if low % 2 == 1 {
                take(low);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                take(high);
            }
            low /= 2;
            high /= 2;
        }
        best
    }

    fn greater(&self, one: u32, other: u32) -> u32 {
        let value = |entry: u32| self.entries[entry as usize].2;
        if value(other) > value(one) { other } else { one }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_agree_with_a_plain_search() {
        let value = |i: usize| (i * 7919 % 101) as u64;
        let entries: Vec<_> = (0..60).map(|i| (i % 3, At::new(i), value(i), i)).collect();
        let peaks = Peaks::new(entries.clone());
        for scope in 0..4 {
            for after in 0..60 {
                for before in 0..60 {
                    let inside = entries.iter().filter(|e| e.0 == scope && e.3 > after && e.3 < before);
                    let found = peaks.between(scope, At::new(after), At::new(before));
                    assert_eq!(found.map(|it| it.1), inside.map(|e| e.2).max());
                }
            }
        }
    }

    #[test]
    fn nothing_is_found_among_nothing() {
        let peaks = Peaks::<u32, ()>::new(Vec::new());
        assert_eq!(peaks.between(0, At::new(0), At::new(9)), None);
    }
}
