//! What a message costs on the hot paths, in instructions: they are the same whatever else the machine does, so a limit for
//! them can be narrow. The difference of two runs is counted, so that starting up does not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::steps::{Environment, cargo, wait};
use crate::summary::Summary;
use crate::system;

/// What is counted: the example that does it, its name there, and how many messages the shorter run has.
const PATHS: [(&str, &str, u64); 6] = [
    (BROKER, "encode", 20_000),
    (BROKER, "publish", 20_000),
    (BROKER, "through", 20_000),
    (BROKER, "one-by-one", 5_000),
    (WORKER, "worker", 20_000),
    (WORKER, "worker-typed", 20_000),
];

const BROKER: &str = "instructions";
const WORKER: &str = "worker_instructions";

/// Compilers and C libraries differ by a few per cent.
const MARGIN: f64 = 1.10;

const STEP: &str = "instructions of the hot paths";
const BUILDS: [&str; 2] = [
    "build --release -p anybroker-memory --example instructions",
    "build --release -p anybroker-worker --example worker_instructions",
];

/// Instructions a message, by the path's name.
type Counts = BTreeMap<String, u64>;

/// The step of `cargo xtask test`.
pub(crate) fn step(install: bool, summary: &mut Summary) {
    if system::has_valgrind(install) {
        summary.step(STEP, check);
    } else {
        summary.not_run(STEP, "valgrind is not installed");
    }
}

/// By itself.
pub(crate) fn run(keep_them: bool) -> ExitCode {
    match if keep_them { keep() } else { check() } {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Counts, and compares with what is kept.
fn check() -> Result<String, String> {
    let kept: Counts =
        serde_json::from_str(include_str!("../instructions.json")).map_err(|e| e.to_string())?;
    compare(&count()?, &kept)
}

/// Counts, and keeps that.
fn keep() -> Result<String, String> {
    let counts = count()?;
    let text = serde_json::to_string_pretty(&counts).map_err(|e| e.to_string())?;
    let path = root().join("xtask/instructions.json");
    std::fs::write(&path, format!("{text}\n")).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(told(&counts))
}

fn count() -> Result<Counts, String> {
    for build in BUILDS {
        cargo(build, &Environment::new())?;
    }
    let of = |(example, path, messages): (&str, &str, u64)| {
        let (few, many) = (collected(example, path, messages)?, collected(example, path, 2 * messages)?);
        Ok((path.to_owned(), many.saturating_sub(few) / messages))
    };
    PATHS.into_iter().map(of).collect()
}

fn release() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("release")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The instructions of one run.
fn collected(example: &str, path: &str, messages: u64) -> Result<u64, String> {
    let log = release().join("instructions.log");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(format!("--log-file={}", log.display()));
    command.arg(release().join("examples").join(example)).args([path, &messages.to_string()]);
    let (status, _) = wait(&mut command).map_err(|error| format!("valgrind: {error}"))?;
    let said = std::fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let found = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    let succeeded = status.is_some_and(|status| status.success());
    found.filter(|_| succeeded).ok_or_else(|| format!("valgrind, {path}:\n{said}"))
}

/// Fails if a path costs more than is kept, and the margin.
fn compare(counts: &Counts, kept: &Counts) -> Result<String, String> {
    let most = |path: &str| kept.get(path).map_or(0.0, |kept| *kept as f64 * MARGIN);
    let over: Vec<_> = counts.iter().filter(|(path, count)| **count as f64 > most(path)).collect();
    if over.is_empty() {
        let less = |(path, count): (&String, &u64)| {
            *count as f64 * MARGIN < kept.get(path).map_or(0.0, |kept| *kept as f64)
        };
        let hint = if counts.iter().any(less) {
            "\nFewer than are kept: cargo xtask instructions --keep"
        } else {
            ""
        };
        return Ok(told(counts) + hint);
    }
    let one = |(path, count): (&String, &u64)| {
        let kept = kept.get(path).map_or("nothing".to_owned(), u64::to_string);
        format!("{path}: {count} instructions a message; {kept} is kept")
    };
    let over: Vec<_> = over.into_iter().map(one).collect();
    Err(format!("{}\nIf that is worth it: cargo xtask instructions --keep", over.join("\n")))
}

fn told(counts: &Counts) -> String {
    let all: Vec<_> = counts.iter().map(|(path, count)| format!("{path} {count}")).collect();
    format!("instructions a message: {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{Counts, compare};

    fn counts(publish: u64) -> Counts {
        Counts::from([("publish".to_owned(), publish)])
    }

    #[test]
    fn a_tenth_more_passes_and_more_than_that_fails() {
        assert!(compare(&counts(1_099), &counts(1_000)).is_ok());
        let passed = [compare(&counts(950), &counts(1_000)), compare(&counts(900), &counts(1_000))];
        assert_eq!(passed.map(|told| told.unwrap().contains("--keep")), [false, true]);
        let why = compare(&counts(1_101), &counts(1_000)).unwrap_err();
        assert!(why.starts_with("publish: 1101 instructions a message; 1000 is kept"), "{why}");
    }

    #[test]
    fn what_nothing_is_kept_of_fails() {
        assert!(compare(&counts(1), &Counts::new()).is_err());
    }
}
