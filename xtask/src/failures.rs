//! What the failed tests of a command said: repeated after everything else, where it is looked for.

use std::io::{BufRead, Write};

/// No more lines than this are repeated.
const LINES: usize = 200;

/// Passes on what test programs print, and keeps what they say of tests that failed.
pub(crate) fn pass_on(mut from: impl BufRead, mut to: impl Write) -> Vec<String> {
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
    said.lines
}

/// What stands between `---- NAME ----` and the list of names, for each test program.
#[derive(Default)]
struct Said {
    lines: Vec<String>,
    speaks: bool,
}

impl Said {
    fn hear(&mut self, line: &str) {
        if line == "failures:" || line.starts_with("test result:") {
            self.speaks = false;
        } else if line.starts_with("---- ") {
            self.speaks = true;
        }
        if self.speaks && !line.is_empty() && self.lines.len() <= LINES {
            self.lines.push(if self.lines.len() < LINES { line.into() } else { "and more".into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pass_on;

    const PRINTED: &str = "running 2 tests\ntest a ... FAILED\ntest b ... ok\n\nfailures:\n\n---- a stdout ----\nbroken\n\n\
                           failures:\n    a\n\ntest result: FAILED. 1 passed; 1 failed\n";

    #[test]
    fn everything_is_passed_on_and_what_failed_is_kept() {
        let mut passed_on = Vec::new();
        assert_eq!(pass_on(PRINTED.as_bytes(), &mut passed_on), ["---- a stdout ----", "broken"]);
        assert_eq!(passed_on, PRINTED.as_bytes());
    }

    #[test]
    fn no_more_than_a_bound_is_kept() {
        let printed = format!("---- a ----\n{}", "line\n".repeat(1_000));
        let kept = pass_on(printed.as_bytes(), std::io::sink());
        assert_eq!((kept.len(), kept[200].as_str()), (201, "and more"));
    }
}
