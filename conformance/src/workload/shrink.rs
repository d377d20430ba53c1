//! Makes a workload smaller as long as it still breaks something.

use std::time::Duration;

use proptest::strategy::ValueTree;
use tokio::time::Instant;

use super::Workload;

/// How much may be spent on making a workload smaller.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Runs.
    pub runs: usize,
    /// How often a smaller workload may go well before it counts as harmless: a broker is no simulation.
    pub tries: usize,
    /// Time.
    pub time: Duration,
}

impl Default for Budget {
    /// So much that a case with it still ends in time.
    fn default() -> Self {
        Budget { runs: 300, tries: 3, time: Duration::from_secs(90) }
    }
}

/// The smallest workload that was found.
#[derive(Debug)]
pub struct Shrunk<T> {
    /// It.
    pub workload: Workload,
    /// What it breaks; none if no smaller one than the first breaks anything.
    pub broken: Option<T>,
    /// How many runs it took.
    pub runs: usize,
}

/// Shrinks the workload of `tree`, which is known to break something, by asking `breaks` about smaller ones.
///
/// # Cancel safety
/// As `breaks`.
pub async fn shrink<T, F: Future<Output = Option<T>> + Send>(
    mut tree: impl ValueTree<Value = Workload> + Send,
    budget: Budget,
    mut breaks: impl FnMut(Workload) -> F + Send,
) -> Shrunk<T>
where
    T: Send,
{
    let deadline = Instant::now() + budget.time;
    let mut shrunk = Shrunk { workload: tree.current(), broken: None, runs: 0 };
    let mut smaller = tree.simplify();
    while smaller && shrunk.runs < budget.runs && Instant::now() < deadline {
        let candidate = tree.current();
        if candidate == shrunk.workload {
            // What was tried has been taken back.
            smaller = tree.simplify();
            continue;
        }
        let mut found = None;
        for _ in 0..budget.tries {
            shrunk.runs += 1;
            found = breaks(candidate.clone()).await;
            if found.is_some() || Instant::now() >= deadline {
                break;
            }
        }
        smaller = match found {
            Some(broken) => {
                (shrunk.workload, shrunk.broken) = (candidate, Some(broken));
                tree.simplify()
            }
            None => tree.complicate(),
        };
    }
    shrunk
}
