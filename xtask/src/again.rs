//! Tests that fail are run again alone: a busy machine is told from a broken product, and either is told.
//! The decision is `docs/decisions/0027-what-failed-is-run-again.md`.

use crate::failures::{Failed, Said, told};

/// More failed tests than this are no bad luck.
const FEW: usize = 3;
/// The same where a broker was found that did not answer any more: whatever came after it on that broker failed too.
const FEW_WITHOUT_BROKER: usize = 40;
/// How often in succession a test must pass, alone, after it failed.
const TIMES: usize = 3;

/// Runs tests by `run`, then those that failed again. A broken promise is final, and so is a test that fails once more.
///
/// `run` is given the arguments of cargo, and says whether it succeeded and what its tests said. `mend` brings back the
/// brokers that do not answer any more, and says which they were and what they said last.
pub(crate) fn test(
    targets: &str,
    run: impl Fn(&str) -> Result<(bool, Said), String>,
    mend: impl Fn() -> Result<Vec<String>, String>,
) -> Result<String, String> {
    let all = format!("test {targets} --no-fail-fast");
    let (succeeded, said) = run(&all)?;
    if succeeded {
        return Ok(format!("cargo {all}"));
    }
    let failed = said.failed;
    let mended = mend();
    let told = match &mended {
        Ok(brokers) => format!("{}{}", brokers.concat(), told(&failed)),
        Err(why) => format!("{why}\n{}", told(&failed)),
    };
    let few = mended.map(|brokers| if brokers.is_empty() { FEW } else { FEW_WITHOUT_BROKER });
    let passes_alone = |failed: &Failed| {
        let name = &failed.name;
        let command = format!("test {targets} -- --exact {name}");
        (1..=TIMES).all(|time| {
            eprintln!("== {name} failed; alone, time {time} of {TIMES}");
            // A name that nobody knows passes nothing.
            run(&command).is_ok_and(|(succeeded, said)| succeeded && said.passed > 0)
        })
    };
    if few.map_or(true, |few| is_final(&failed, few)) || !failed.iter().all(passes_alone) {
        return Err(format!("cargo {all}: failed\n{told}"));
    }
    let count = failed.len();
    Ok(format!("cargo {all}; UNSTEADY: {count} failed once, then passed {TIMES} times\n{told}"))
}

/// Whether there is nothing to try again: no test says why the command failed, too many do, or a promise was broken.
fn is_final(failed: &[Failed], few: usize) -> bool {
    failed.is_empty() || failed.len() > few || failed.iter().any(|failed| failed.broken_promise)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{TIMES, test};
    use crate::failures::{Failed, Said};

    fn said(names: &[&str], broken_promise: bool, passed: usize) -> Said {
        let failed = |name: &&str| Failed { name: (*name).into(), broken_promise, ..Failed::default() };
        let mut said = Said::default();
        (said.passed, said.failed) = (passed, names.iter().map(failed).collect());
        said
    }

    /// Whether tests of which these fail are passed in the end, and how often something was run; alone they do `alone`.
    fn ended(names: &[&str], broken_promise: bool, alone: impl Fn(usize) -> (bool, usize)) -> (bool, usize) {
        mended(names, broken_promise, alone, Ok(Vec::new()))
    }

    /// The same, where brokers were brought back.
    fn mended(
        names: &[&str],
        broken_promise: bool,
        alone: impl Fn(usize) -> (bool, usize),
        brokers: Result<Vec<String>, String>,
    ) -> (bool, usize) {
        let runs = Cell::new(0);
        let run = |arguments: &str| {
            runs.set(runs.get() + 1);
            if !arguments.contains("--exact") {
                return Ok((false, said(names, broken_promise, 5)));
            }
            let (succeeded, passed) = alone(runs.get() - 1);
            Ok((succeeded, said(&[], false, passed)))
        };
        let ended = test("--lib", run, || brokers.clone());
        (ended.is_ok(), runs.get())
    }

    #[test]
    fn what_failed_has_to_pass_alone_every_time() {
        assert_eq!(ended(&["a", "b"], false, |_| (true, 1)), (true, 1 + 2 * TIMES));
        assert_eq!(ended(&["a", "b"], false, |time| (time < 2, 1)), (false, 3));
        assert_eq!(ended(&["unknown"], false, |_| (true, 0)), (false, 2), "nothing was run");
    }

    #[test]
    fn what_is_no_bad_luck_is_final() {
        assert_eq!(ended(&["a"], true, |_| (true, 1)), (false, 1), "a promise was broken");
        assert_eq!(ended(&["a", "b", "c", "d"], false, |_| (true, 1)), (false, 1), "too many");
        assert_eq!(ended(&[], false, |_| (true, 1)), (false, 1), "nothing was built");
    }

    #[test]
    fn what_failed_for_want_of_a_broker_is_run_again_however_much_it_is() {
        let five = ["a", "b", "c", "d", "e"];
        let gone = || Ok(vec!["pulsar".to_owned()]);
        assert_eq!(mended(&five, false, |_| (true, 1), gone()), (true, 1 + 5 * TIMES));
        assert_eq!(mended(&five, true, |_| (true, 1), gone()), (false, 1), "a promise was broken");
        assert_eq!(mended(&five, false, |_| (true, 1), Err("it stays away".into())), (false, 1));
    }

    #[test]
    fn what_was_unsteady_is_told() {
        let run = |arguments: &str| Ok((arguments.contains("--exact"), said(&["a"], false, 1)));
        let told = test("--lib", run, || Ok(vec!["pulsar: down\n".into()])).unwrap_or_default();
        assert!(told.contains("UNSTEADY: 1 failed once") && told.contains("---- a ----"), "{told}");
        assert!(told.contains("\npulsar: down\n"), "{told}");
    }
}
