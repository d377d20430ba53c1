//! `anybroker schema check DIR`: whether versions read each other.

use std::path::PathBuf;

use anybroker::patterns::schema::{
    Changed, Check, Compared, Direction, Directory, RegistryError, Report, Verdict,
};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The directory holds a JSON Schema for every version: TYPE/VERSION.json, and golden payloads
beside it: TYPE/VERSION.golden/*.json.

Exit codes:
  0  all versions that are compared read each other, or are upcast
  1  one does not, or it could not be judged; a published schema was changed
  2  the directory cannot be read; the error names the file

Examples:
  anybroker schema check schemas
  anybroker schema check schemas --compatibility full --last 2
  anybroker schema check schemas --against ../main/schemas --allow-upcast")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare the newest version of every type with those before it.
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// The directory of schemas.
    directory: PathBuf,
    /// Who is to read whom.
    #[arg(long, value_enum, default_value_t)]
    compatibility: Compatibility,
    /// Only the last so many versions before the newest.
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// What has been published: a directory whose schemas must all be there still, unchanged.
    #[arg(long, value_name = "DIRECTORY")]
    against: Option<PathBuf>,
    /// An old version may be incompatible if it has golden payloads: the tests prove that it is upcast.
    #[arg(long)]
    allow_upcast: bool,
    /// What cannot be judged does not fail.
    #[arg(long)]
    allow_not_judged: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Compatibility {
    /// The newest reads what the older ones wrote.
    #[default]
    Backward,
    /// The older ones read what the newest writes.
    Forward,
    /// Both.
    Full,
}

pub(crate) fn run(args: Args) -> Result<Done, Failure> {
    let Command::Check(args) = args.command;
    let registry = Directory::new(&args.directory);
    let schemas = read(&registry)?;
    if schemas.is_empty() {
        let place = args.directory.display();
        return Err(Failure::new(format!("{place} has no schemas: they are called TYPE/VERSION.json")));
    }
    let mut check = match args.compatibility {
        Compatibility::Backward => Check::backward(),
        Compatibility::Forward => Check::forward(),
        Compatibility::Full => Check::full(),
    };
    check = check.last(args.last.unwrap_or(usize::MAX));
    if let Some(published) = &args.against {
        check = check.published(read(&Directory::new(published))?);
    }
    if args.allow_upcast {
        check = check.upcast(move |event_type, from, _| registry.has_golden(event_type, from));
    }
    let report = check.run(&schemas);
    match args.format {
        Format::Json => print_json(&report)?,
        Format::Human => output::print(&text(&report))?,
    }
    Ok(Done::if_holds(if args.allow_not_judged { !report.violates() } else { report.holds() }))
}

fn read(directory: &Directory) -> Result<Vec<anybroker::patterns::schema::Schema>, Failure> {
    directory.schemas().map_err(|error: RegistryError| Failure::new(error.to_string()))
}

/// The last line.
#[derive(Serialize)]
struct Summary {
    types: usize,
    compatible: usize,
    upcast: usize,
    not_judged: usize,
    incompatible: usize,
    changed: usize,
}

fn summary(report: &Report) -> Summary {
    let count = |verdict| report.compared.iter().filter(|it| it.verdict == verdict).count();
    Summary {
        types: report.types,
        compatible: count(Verdict::Compatible),
        upcast: count(Verdict::Upcast),
        not_judged: count(Verdict::NotJudged),
        incompatible: count(Verdict::Incompatible),
        changed: report.changed.len(),
    }
}

fn print_json(report: &Report) -> Result<(), Failure> {
    report.changed.iter().try_for_each(output::print_json)?;
    report.compared.iter().try_for_each(output::print_json)?;
    output::print_json(&summary(report))
}

fn text(report: &Report) -> String {
    let mut lines: Vec<_> = report.changed.iter().flat_map(changed).collect();
    lines.extend(report.compared.iter().flat_map(compared));
    let Summary { types, compatible, upcast, not_judged, incompatible, changed } = summary(report);
    lines.push(format!(
        "{types} types: {compatible} compatible, {upcast} upcast, {not_judged} not judged, {incompatible} incompatible, \
         {changed} published and changed"
    ));
    lines.join("\n")
}

fn changed(changed: &Changed) -> Vec<String> {
    let Changed { event_type, version, differences } = changed;
    let what =
        if differences.is_some() { "was published and is changed" } else { "was published and is gone" };
    let first = format!("{event_type} version {version} {what}");
    let rest = differences.iter().flatten().map(|it| format!("  {it}"));
    std::iter::once(first).chain(rest).collect()
}

fn compared(it: &Compared) -> Vec<String> {
    let (reader, writer) = match it.direction {
        Direction::Backward => (it.newest, it.older),
        Direction::Forward => (it.older, it.newest),
    };
    let verdict = match it.verdict {
        Verdict::Compatible => "compatible",
        Verdict::Upcast => "upcast: its golden payloads must be tested",
        Verdict::NotJudged => "not judged",
        Verdict::Incompatible => "incompatible",
    };
    let first = format!("{}: version {reader} reads version {writer}: {verdict}", it.event_type);
    std::iter::once(first).chain(it.findings.iter().map(|finding| format!("  {finding}"))).collect()
}
