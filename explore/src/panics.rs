//! Panics of runs: kept for the story, and not printed one by one.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// The first panic of the run on this thread; none: there is no run.
    static RUN: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

static INSTALLED: Once = Once::new();

/// Runs `work`; fails with the first panic in it, also where that was caught by others: a task that panicked.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    INSTALLED.call_once(install);
    RUN.set(Some(None));
    let ended = catch_unwind(AssertUnwindSafe(work));
    match (ended, RUN.take().flatten()) {
        (_, Some(panic)) => Err(panic),
        (Ok(done), None) => Ok(done),
        // Not by the hook: somebody has replaced it.
        (Err(_), None) => Err("it panicked".into()),
    }
}

fn install() {
    let before = take_hook();
    set_hook(Box::new(move |info| {
        if !keep(info) {
            before(info);
        }
    }));
}

/// Whether it is a run's.
fn keep(info: &PanicHookInfo<'_>) -> bool {
    RUN.with_borrow_mut(|run| {
        let Some(first) = run else { return false };
        if first.is_none() {
            let text = info.payload_as_str().unwrap_or("a panic without words");
            let place = info.location().map(|it| format!("\n  at {it}")).unwrap_or_default();
            *first = Some(format!("{text}{place}"));
        }
        true
    })
}
