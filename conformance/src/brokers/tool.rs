//! Running a program to its end, within a deadline.

use std::{
    io,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

use super::Error;

/// Runs `command` and returns what it printed. Dropping the future ends the program.
pub(crate) async fn run(mut command: Command, within: Duration) -> Result<String, Error> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let line = line(&command);
    match tokio::time::timeout(within, command.output()).await {
        Ok(ended) => judged(line, ended),
        Err(_) => Err(Error::ToolTimeout { command: line, within }),
    }
}

fn judged(command: String, ended: io::Result<Output>) -> Result<String, Error> {
    let output =
        ended.map_err(|error| Error::Tool { command: command.clone(), output: error.to_string() })?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let said = format!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    Err(Error::Tool { command, output: format!("{}\n{}", output.status, last_lines(&said, 20)) })
}

/// The command as a person would type it, near enough.
fn line(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_failure_says_what_was_run_and_what_it_said() {
        let error = run(shell("echo why >&2; exit 3"), Duration::from_secs(30)).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`sh -c echo why >&2; exit 3` failed") && text.ends_with("why"), "{text}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended() {
        let error = run(shell("sleep 60"), Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, Error::ToolTimeout { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = run(Command::new("no-such-program"), Duration::from_secs(30)).await.unwrap_err();
        assert!(error.to_string().starts_with("`no-such-program` failed"), "{error}");
    }

    #[test]
    fn the_last_lines_of_a_short_text_are_all_of_it() {
        assert_eq!(last_lines("a\nb\n", 5), "a\nb");
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
    }
}
