//! Who leads to whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Catalogue;

/// Chains of requests that are looked for.
const MOST_CHAINS: usize = 100;

/// From one service to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
    /// What travels: an event, or a request.
    pub(super) label: String,
    /// Whether `from` waits for the answer.
    pub(super) synchronous: bool,
}

impl Catalogue {
    pub(super) fn edges(&self) -> BTreeSet<Edge> {
        let mut edges = BTreeSet::new();
        for (from, one) in &self.services {
            for (to, other) in &self.services {
                let edge = |label: &str, synchronous| Edge {
                    from: from.clone(),
                    to: to.clone(),
                    label: label.to_owned(),
                    synchronous,
                };
                for it in &one.publishes {
                    let same =
                        |to: &&super::Consumption| (&to.event_type, &to.topic) == (&it.event_type, &it.topic);
                    edges.extend(other.consumes.iter().find(same).map(|_| edge(&it.event_type, false)));
                }
                for it in &one.asks {
                    let same = |to: &&super::Exchange| (&to.request, &to.topic) == (&it.request, &it.topic);
                    edges.extend(other.answers.iter().find(same).map(|_| edge(&it.request, true)));
                }
            }
        }
        edges
    }

    /// The shortest cycle through every service that is in one, each once, beginning with its first name.
    pub(super) fn cycles(&self, synchronous: bool) -> BTreeSet<Vec<String>> {
        let next = self.next(synchronous);
        self.services.keys().filter_map(|name| shortest(&next, name)).map(rotate).collect()
    }

    /// Services each of which waits for the next, three or more, that nobody waits for at the beginning.
    pub(super) fn chains(&self) -> Vec<Vec<String>> {
        let next = self.next(true);
        let asked: BTreeSet<_> = next.values().flatten().collect();
        let mut open: Vec<_> =
            next.keys().filter(|name| !asked.contains(name)).map(|name| vec![name.clone()]).collect();
        let mut chains = Vec::new();
        while let Some(chain) = open.pop() {
            let further = chain.last().and_then(|last| next.get(last)).into_iter().flatten();
            let longer: Vec<_> = further
                .filter(|name| !chain.contains(name))
                .map(|name| [&chain[..], std::slice::from_ref(name)].concat())
                .collect();
            if longer.is_empty() && chain.len() > 2 {
                chains.push(chain);
            }
            if chains.len() >= MOST_CHAINS {
                break;
            }
            open.extend(longer);
        }
        chains.sort();
        chains
    }

    fn next(&self, synchronous: bool) -> BTreeMap<String, BTreeSet<String>> {
        let mut next: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for edge in self.edges().into_iter().filter(|edge| edge.synchronous || !synchronous) {
            next.entry(edge.from).or_default().insert(edge.to);
        }
        next
    }
}

/// From a service back to itself.
fn shortest(next: &BTreeMap<String, BTreeSet<String>>, start: &String) -> Option<Vec<String>> {
    let mut paths = VecDeque::from([vec![start.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(path) = paths.pop_front() {
        for name in path.last().and_then(|last| next.get(last)).into_iter().flatten() {
            if name == start {
                return Some(path);
            }
            if seen.insert(name.clone()) {
                paths.push_back([&path[..], std::slice::from_ref(name)].concat());
            }
        }
    }
    None
}

fn rotate(mut cycle: Vec<String>) -> Vec<String> {
    let first = (0..cycle.len()).min_by_key(|at| &cycle[*at]).unwrap_or(0);
    cycle.rotate_left(first);
    cycle
}
