//! `anybroker schema check|register`: whether versions read each other, and what a server says of them.

mod open;
mod server;

use std::path::{Path, PathBuf};

use anybroker::patterns::schema::{
    Changed, Check, Compared, Direction, Directory, RegistryError, Report, Schema, Verdict,
};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;
use server::Asked;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The directory holds a JSON Schema for every version: TYPE/VERSION.json, and golden payloads
beside it: TYPE/VERSION.golden/*.json. A registry is a server that speaks the protocol of Confluent's
Schema Registry: https://user@host:8081/path?password_env=VARIABLE, or token_file=FILE, tls_ca=FILE;
or AWS Glue's: glue://region/registry.

Exit codes:
  0  all versions that are compared read each other, or are upcast; all are registered
  1  one does not, or it could not be judged; a published schema was changed; the registry refuses one
  2  the directory cannot be read, or the registry does not answer; the error says why

Examples:
  anybroker schema check schemas
  anybroker schema check schemas --compatibility full --last 2
  anybroker schema check schemas --against ../main/schemas --allow-upcast
  anybroker schema check schemas --registry http://registry:8081
  anybroker schema register schemas --registry http://registry:8081
  anybroker schema check schemas --registry glue://eu-west-1/shop")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare the newest version of every type with those before it.
    Check(CheckArgs),
    /// Register the schemas of a directory that a server does not have yet.
    Register(server::RegisterArgs),
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// The directory of schemas. Without it, those of the registry are compared.
    #[arg(required_unless_present = "registry")]
    directory: Option<PathBuf>,
    /// A server, which must have nothing else under the same versions, and takes those that it does not have yet.
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
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

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    match args.command {
        Command::Check(args) => check(args).await,
        Command::Register(args) => server::register(args).await,
    }
}

async fn check(args: CheckArgs) -> Result<Done, Failure> {
    let server = match &args.registry {
        Some(url) => Some(open::open(url).await?),
        None => None,
    };
    let own = match &args.directory {
        Some(directory) => Some(some(read(directory)?, directory)?),
        None => None,
    };
    let registered = match &server {
        Some(server) => server.registered(own.as_deref()).await.map_err(failure)?,
        None => Vec::new(),
    };
    let (schemas, mut published) = match own {
        Some(own) => (own, registered),
        None => (registered, Vec::new()),
    };
    let asked = match &server {
        Some(server) => server::ask(server, &schemas, &published, args.directory.is_some()).await?,
        None => Vec::new(),
    };
    if let Some(against) = &args.against {
        published.extend(read(against)?);
    }
    let mut check = match args.compatibility {
        Compatibility::Backward => Check::backward(),
        Compatibility::Forward => Check::forward(),
        Compatibility::Full => Check::full(),
    };
    check = check.last(args.last.unwrap_or(usize::MAX)).published(published);
    if let Some(directory) = args.directory.filter(|_| args.allow_upcast) {
        let golden = Directory::new(directory);
        check = check.upcast(move |event_type, from, _| golden.has_golden(event_type, from));
    }
    let report = check.run(&schemas);
    match args.format {
        Format::Json => print_json(&report, &asked)?,
        Format::Human => output::print(&text(&report, &asked, server.is_some()))?,
    }
    let holds = if args.allow_not_judged { !report.violates() } else { report.holds() };
    Ok(Done::if_holds(holds && asked.iter().all(|it| it.accepted)))
}

fn read(directory: &Path) -> Result<Vec<Schema>, Failure> {
    Directory::new(directory).schemas().map_err(failure)
}

/// Refuses a directory that has none.
fn some(schemas: Vec<Schema>, directory: &Path) -> Result<Vec<Schema>, Failure> {
    if schemas.is_empty() {
        let place = directory.display();
        return Err(Failure::new(format!("{place} has no schemas: they are called TYPE/VERSION.json")));
    }
    Ok(schemas)
}

fn failure(error: RegistryError) -> Failure {
    Failure::new(error.to_string())
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
    refused: usize,
}

fn summary(report: &Report, asked: &[Asked]) -> Summary {
    let count = |verdict| report.compared.iter().filter(|it| it.verdict == verdict).count();
    Summary {
        types: report.types,
        compatible: count(Verdict::Compatible),
        upcast: count(Verdict::Upcast),
        not_judged: count(Verdict::NotJudged),
        incompatible: count(Verdict::Incompatible),
        changed: report.changed.len(),
        refused: asked.iter().filter(|it| !it.accepted).count(),
    }
}

fn print_json(report: &Report, asked: &[Asked]) -> Result<(), Failure> {
    report.changed.iter().try_for_each(output::print_json)?;
    report.compared.iter().try_for_each(output::print_json)?;
    asked.iter().try_for_each(output::print_json)?;
    output::print_json(&summary(report, asked))
}

fn text(report: &Report, asked: &[Asked], with_server: bool) -> String {
    let mut lines: Vec<_> = report.changed.iter().flat_map(changed).collect();
    lines.extend(report.compared.iter().flat_map(compared));
    lines.extend(asked.iter().flat_map(Asked::lines));
    let Summary { types, compatible, upcast, not_judged, incompatible, changed, refused } =
        summary(report, asked);
    let refused = if with_server { format!(", {refused} refused by the registry") } else { String::new() };
    lines.push(format!(
        "{types} types: {compatible} compatible, {upcast} upcast, {not_judged} not judged, {incompatible} incompatible, \
         {changed} published and changed{refused}"
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
