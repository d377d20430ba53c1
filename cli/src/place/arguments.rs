//! Reading the command line where the broker's URL may be left out, because a profile or the environment names it.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::{Place, default_place, nothing_named};
use crate::args::Cli;
use crate::failure::Failure;

/// Why the command line is not run.
pub(crate) enum Unread {
    /// clap has the text: help, or what is wrong.
    Usage(clap::Error),
    /// We have.
    Wrong(Failure),
}

/// Reads the command line: as it stands, and if it names no broker, with the one of `--profile` or of the environment
/// in its place. A broker that stands there is always taken.
pub(crate) fn parse(args: Vec<String>) -> Result<Cli, Unread> {
    let profile = profile(&args);
    let given = Cli::try_parse_from(&args);
    match &given {
        Ok(cli) => match cli.command.place() {
            Some(place) if place.is_one() && profile.is_some() => {
                let text = "the broker is named twice: by its URL or @PROFILE, and by --profile";
                return Err(Unread::Wrong(Failure::new(text)));
            }
            Some(place) if !place.is_one() => {}
            _ => return given.map_err(Unread::Usage),
        },
        Err(error) if is_help(error) => return given.map_err(Unread::Usage),
        Err(_) => {}
    }
    let names_one = args.iter().any(|arg| Place(arg.clone()).is_one());
    let default = profile.map(|name| format!("@{name}")).or_else(|| default_place().map(|_| "@".to_owned()));
    match (default, position(&args), given) {
        (Some(default), Some(at), given) => complete(args, at, default).or_else(|error| match given {
            // The mistake is in what was written, and not that something was left out.
            Err(_) if names_one => given.map_err(Unread::Usage),
            _ => Err(Unread::Usage(error)),
        }),
        (None, Some(_), Err(error)) if is_incomplete(&error) && !names_one => {
            Err(Unread::Wrong(Failure::new(nothing_named())))
        }
        (_, _, Ok(cli)) if cli.command.place().is_some() => Err(Unread::Wrong(no_url())),
        (_, _, given) => given.map_err(Unread::Usage),
    }
}

fn complete(mut args: Vec<String>, at: usize, place: String) -> Result<Cli, clap::Error> {
    args.insert(at, place);
    Cli::try_parse_from(args)
}

fn is_incomplete(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::MissingRequiredArgument
}

fn is_help(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

fn no_url() -> Failure {
    // The text is not repeated: it may hold a password.
    let what = "what stands in the URL's place is none: it has no scheme such as kafka://";
    Failure::new(format!("{what}; {}", nothing_named()))
}

/// The value of `--profile`.
fn profile(args: &[String]) -> Option<String> {
    let before_end = args.iter().take_while(|arg| *arg != "--");
    let args: Vec<_> = before_end.collect();
    args.iter().enumerate().find_map(|(at, arg)| match arg.strip_prefix("--profile")? {
        "" => args.get(at + 1).map(|name| (*name).clone()),
        rest => rest.strip_prefix('=').map(str::to_owned),
    })
}

/// Where the URL belongs: behind the last word of the command, if that takes one.
fn position(args: &[String]) -> Option<usize> {
    let root = Cli::command();
    let (mut command, mut at) = (&root, 1);
    while command.has_subcommands() {
        let word = args.get(at)?;
        at += 1;
        if word == "--profile" {
            at += 1;
        } else if !word.starts_with('-') {
            command = command.find_subcommand(word)?;
        }
    }
    command.get_positionals().any(|argument| argument.get_id() == "url").then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_url_belongs_behind_the_commands_last_word() {
        for (text, expected) in [
            ("anybroker lag orders", Some(2)),
            ("anybroker --profile prod lag orders", Some(4)),
            ("anybroker topics --profile=prod list", Some(4)),
            ("anybroker -v dlq list letters", Some(4)),
            ("anybroker check file", None),
            ("anybroker nonsense", None),
            ("anybroker topics", None),
        ] {
            assert_eq!(position(&words(text)), expected, "{text}");
        }
        assert_eq!(profile(&words("anybroker lag --profile prod x")).as_deref(), Some("prod"));
        assert_eq!(profile(&words("anybroker lag -- --profile prod")), None);
    }
}
