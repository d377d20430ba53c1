//! `anybroker bench URL`: runs the program of `bench/`, which is a workspace of its own: what it compares with must not be
//! among the dependencies of this one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anybroker::URL_VARIABLE;

use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::place::Place;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Rounds of anybroker and of hand-written code are interleaved, each in a process of its own. Only the ratios of one run mean anything. Exit code 1 if something could not be measured.

The program is anybroker-bench, beside this one or named by ANYBROKER_BENCH; within a checkout of the
repository cargo builds it. What follows `--` goes to it: see anybroker bench @dev -- --help
A program that is there must have been built with the other libraries for --peers: cargo build --release
--manifest-path bench/Cargo.toml --features peers

Examples:
  anybroker bench memory:// --size 128
  anybroker bench kafka://127.0.0.1:9092 --operation publish,consume --html kafka.html
  anybroker bench kafka://127.0.0.1:9092 --peers
  anybroker bench kafka://127.0.0.1:9092 --scaling --most backlog=1000000,subscriptions=100
  anybroker bench @dev --scaling keys,partitions --rounds 3
  anybroker bench @dev --format json > figures.json")]
pub(crate) struct Args {
    /// The broker's URL, or @PROFILE.
    pub(crate) url: Place,
    /// Payload bytes, several with commas.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    size: Vec<u64>,
    /// publish, consume, through, latency; several with commas.
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Rounds of each.
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Other libraries too, on Kafka; the program must be built with them.
    #[arg(long)]
    peers: bool,
    /// Whether a message costs the same with more and more keys, partitions, messages in front (backlog), topics (subscriptions):
    /// of anybroker only, each step beside the first one; several with commas, all of them unless stated.
    #[arg(long, value_name = "DIMENSION", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["operation", "peers"])]
    scaling: Option<String>,
    /// The largest step of a dimension that is measured; several with commas.
    #[arg(long, value_name = "DIMENSION=N", requires = "scaling")]
    most: Option<String>,
    /// Writes a page with plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// For the program as they are.
    #[arg(last = true)]
    more: Vec<String>,
}

/// Names the program.
const VARIABLE: &str = "ANYBROKER_BENCH";
const PROGRAM: &str = "anybroker-bench";
const MANIFEST: &str = "bench/Cargo.toml";

pub(crate) fn run(args: Args) -> Result<Done, Failure> {
    let url = args.url.url()?;
    let mut command = program(args.peers)?;
    // Not as an argument: a URL may have a password in it, and arguments can be seen by everybody.
    command.env(URL_VARIABLE, url).args(arguments(&args));
    let status = command.status().map_err(|error| {
        Failure::new(format!("{} cannot be run: {error}", command.get_program().to_string_lossy()))
    })?;
    match status.code() {
        Some(0) => Ok(Done::Holds),
        Some(1) => Ok(Done::DoesNotHold),
        _ => Err(Failure::new(format!("the measurement did not end well: {status}; it says above why"))),
    }
}

fn arguments(args: &Args) -> Vec<String> {
    let mut all = Vec::new();
    let mut add = |name: &str, value: String| all.extend([name.to_owned(), value]);
    if !args.size.is_empty() {
        add("--size", args.size.iter().map(u64::to_string).collect::<Vec<_>>().join(","));
    }
    if let Some(operation) = &args.operation {
        add("--operation", operation.clone());
    }
    if let Some(rounds) = args.rounds {
        add("--rounds", rounds.to_string());
    }
    if let Some(most) = &args.most {
        add("--most", most.clone());
    }
    if let Some(file) = &args.html {
        add("--html", file.display().to_string());
    }
    add("--format", if args.format == Format::Json { "json" } else { "human" }.to_owned());
    if args.peers {
        all.push("--peers".to_owned());
    }
    if let Some(dimensions) = &args.scaling {
        all.push("--scaling".to_owned());
        all.extend((!dimensions.is_empty()).then(|| dimensions.clone()));
    }
    all.extend(args.more.iter().cloned());
    all
}

/// The program where it is, or cargo that builds it, with the other libraries if they are asked for.
fn program(peers: bool) -> Result<Command, Failure> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Ok(Command::new(named));
    }
    let beside = std::env::current_exe().ok().map(|this| this.with_file_name(PROGRAM));
    if let Some(beside) = beside.filter(|it| it.is_file()) {
        return Ok(Command::new(beside));
    }
    let here = std::env::current_dir().ok();
    let manifest =
        here.iter().flat_map(|here| here.ancestors()).map(|it| it.join(MANIFEST)).find(|it| is_ours(it));
    let Some(manifest) = manifest else {
        return Err(Failure::new(format!(
            "{PROGRAM} is not beside this program, and this is no checkout of the repository, from which it could be built; \
             build it in one (cargo build --release --manifest-path {MANIFEST}), and put it beside this program or name \
             it by {VARIABLE}"
        )));
    };
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--release", "--quiet", "--manifest-path"]).arg(manifest);
    if peers {
        cargo.args(["--features", "peers"]);
    }
    cargo.arg("--");
    Ok(cargo)
}

fn is_ours(manifest: &Path) -> bool {
    std::fs::read_to_string(manifest).is_ok_and(|text| text.contains(PROGRAM))
}
