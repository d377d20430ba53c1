//! What the failed tests of a command said: repeated after everything else, where it is looked for.

use std::io::{BufRead, Write};

/// No more lines of a test than this are repeated.
const LINES: usize = 100;

/// What the checker says of a history that breaks a promise.
const BROKEN: &str = "verdict: violation";

/// A test that failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) name: String,
    /// What it said.
    pub(crate) lines: Vec<String>,
    /// Whether the history checker found a promise broken.
    pub(crate) broken_promise: bool,
}

/// What test programs say: between `---- NAME ----` and the list of names, what a test that failed has to say.
#[derive(Default)]
pub(crate) struct Said {
    /// How many tests passed.
    pub(crate) passed: usize,
    /// Those that failed.
    pub(crate) failed: Vec<Failed>,
    speaks: bool,
}

/// Passes on what test programs print, and keeps what they say of their tests.
pub(crate) fn pass_on(mut from: impl BufRead, mut to: impl Write) -> Said {
    let mut said = Said::default();
    let mut line = Vec::new();
    // A program that ended, or a terminal that is gone, ends this; how the command ended is known by its status.
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        if to.write_all(&line).and_then(|()| to.flush()).is_err() {
            break;
        }
        said.hear(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    said
}

/// What all of them said, as lines.
pub(crate) fn told(failed: &[Failed]) -> String {
    let one = |failed: &Failed| format!("---- {} ----\n{}", failed.name, failed.lines.join("\n"));
    failed.iter().map(one).collect::<Vec<_>>().join("\n")
}

impl Said {
    fn hear(&mut self, line: &str) {
        if line.starts_with("test ") && line.ends_with("... ok") {
            self.passed += 1;
        } else if line == "failures:" || line.starts_with("test result:") {
            self.speaks = false;
        } else if let Some(heading) = line.strip_prefix("---- ") {
            let name = heading.split(' ').next().unwrap_or(heading).to_owned();
            self.failed.push(Failed { name, ..Failed::default() });
            self.speaks = true;
        } else if let Some(failed) = self.failed.last_mut().filter(|_| self.speaks && !line.is_empty()) {
            failed.broken_promise |= line.trim_start().starts_with(BROKEN);
            match failed.lines.len() {
                LINES => failed.lines.push("and more".into()),
                length if length < LINES => failed.lines.push(line.into()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failed, pass_on};

    const PRINTED: &str = "running 2 tests\ntest a ... FAILED\ntest b ... ok\n\nfailures:\n\n---- a stdout ----\nbroken\n\n\
                           failures:\n    a\n\ntest result: FAILED. 1 passed; 1 failed\n";

    #[test]
    fn everything_is_passed_on_and_what_failed_is_kept() {
        let mut passed_on = Vec::new();
        let a = Failed { name: "a".into(), lines: vec!["broken".into()], broken_promise: false };
        let said = pass_on(PRINTED.as_bytes(), &mut passed_on);
        assert_eq!((said.passed, said.failed), (1, vec![a]));
        assert_eq!(passed_on, PRINTED.as_bytes());
    }

    #[test]
    fn a_broken_promise_is_known_however_much_is_said() {
        let printed = format!("---- a ----\n{}verdict: violation\n---- b ----\nno", "line\n".repeat(1_000));
        let kept = pass_on(printed.as_bytes(), std::io::sink()).failed;
        assert_eq!((kept[0].lines.len(), kept[0].lines[100].as_str()), (101, "and more"));
        assert_eq!((kept[0].broken_promise, kept[1].broken_promise), (true, false));
    }
}
