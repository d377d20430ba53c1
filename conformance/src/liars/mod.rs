//! The suite of liars: brokers that are broken on purpose, each in one way, and must be named by the shared cases and the
//! checkers; and honest ones, which must not.
//!
//! A liar is the in-memory broker behind a wrapper that tells one lie: about what is published, delivered or
//! settled, or when a member comes or goes. It declares what it promises, the property that it breaks, its *root*, and
//! what cannot but break with it. It is *named* if the root is reported and nothing else that was not foreseen. Time is
//! tokio's and paused, so that minutes of silence pass at once.

mod aside;
mod backend;
mod catalogue;
mod consumer;
mod handed;
mod liar;
mod lie;
mod matrix;
mod publisher;
mod settler;
mod tell;
mod transactions;
mod trial;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use matrix::{KillMatrix, Row, Verdict};

use crate::cases::{CASES, Case, DISTURBING};
use liar::Liar;
use trial::Reported;

/// Which liars are run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides every random choice.
    pub seed: u64,
    /// Only liars with this in their names; all if empty.
    pub only: String,
    /// How many are run at once.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Options { seed: 7, only: String::new(), threads }
    }
}

/// Hears how it goes on.
pub trait Progress: Send + Sync {
    /// A liar was run; so many are done.
    fn ended(&self, row: &Row, done: usize, of: usize);
    /// An honest broker was run, and accused for this reason, or not.
    fn believed(&self, name: &str, accused: Option<&str>);
}

impl Progress for crate::run::Silent {
    fn ended(&self, _row: &Row, _done: usize, _of: usize) {}
    fn believed(&self, _name: &str, _accused: Option<&str>) {}
}

/// Runs the shared cases on every liar, and on the honest brokers.
///
/// # Errors
/// No thread or runtime can be had.
pub fn run(options: &Options, progress: &dyn Progress) -> std::io::Result<KillMatrix> {
    let mut liars = catalogue::honest();
    liars.extend(catalogue::liars());
    liars.retain(|liar| liar.name.contains(&options.only));
    let cases: Vec<_> = CASES.iter().chain(DISTURBING).collect();
    let reports = all(&liars, &cases, options, progress)?;
    let (mut rows, mut controls) = (Vec::new(), Vec::new());
    for (liar, reported) in liars.iter().zip(&reports) {
        match liar.root {
            Some(_) => rows.push(liar.row(reported)),
            None => controls.push((liar.name.to_owned(), reported.accuses())),
        }
    }
    Ok(KillMatrix::of(rows, controls))
}

/// Each thread takes the next liar.
fn all(
    liars: &[Liar],
    cases: &[&Case],
    options: &Options,
    progress: &dyn Progress,
) -> std::io::Result<Vec<Reported>> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || -> std::io::Result<()> {
            while let Some((at, liar)) = liars.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                let reported = liar.try_on(cases, options.seed)?;
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                match liar.root {
                    Some(_) => progress.ended(&liar.row(&reported), done, liars.len()),
                    None => progress.believed(liar.name, reported.reason()),
                }
                aside::lock(&reports).push((at, reported));
            }
            Ok(())
        };
        let threads: Vec<_> = (0..options.threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(std::io::Error::other("a liar panicked")))
        })
    })?;
    let mut reports = reports.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    reports.sort_by_key(|(at, _)| *at);
    Ok(reports.into_iter().map(|(_, reported)| reported).collect())
}
