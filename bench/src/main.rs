//! `anybroker-bench URL`.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anybroker_bench::Result;
use anybroker_bench::contenders::{Field, field};
use anybroker_bench::harness::{self, Dimension, Most, Options, Scale, allocations::Counting};
use anybroker_bench::progress::Progress;
use anybroker_bench::task::Operation;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Measures anybroker beside hand-written clients, and beside other libraries, on one broker.
///
/// Rounds are interleaved, each in a process of its own. Only the ratios of one run mean anything: another machine, or the same one
/// with something else running, gives other figures.
#[derive(Debug, Parser)]
#[command(name = "anybroker-bench", version)]
struct Args {
    /// The broker's URL.
    #[arg(env = "ANYBROKER_URL", hide_env_values = true)]
    url: Option<String>,
    /// What is measured; all of it that the broker has, unless stated.
    #[arg(long, value_enum, value_delimiter = ',')]
    operation: Vec<Operation>,
    /// Payload bytes; 128, 1,024 and 16,384 unless stated, 128 with --scaling.
    #[arg(long, value_delimiter = ',')]
    size: Vec<usize>,
    /// Whether a message costs the same with more and more keys, partitions, messages in front, topics: anybroker's batch path
    /// at each step of these, of all of them unless stated, the others held.
    #[arg(long, value_enum, value_delimiter = ',', num_args = 0..=1, value_name = "DIMENSION", conflicts_with_all = ["operation", "peers", "only"])]
    scaling: Option<Vec<Dimension>>,
    /// The largest step of a dimension that is measured: backlog=100000; several with commas.
    #[arg(long, value_delimiter = ',', value_name = "DIMENSION=N", requires = "scaling")]
    most: Vec<Most>,
    /// Rounds of each contender.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Messages of a round; the naive loops do a hundredth.
    #[arg(long)]
    messages: Option<u64>,
    /// Keys, in turn.
    #[arg(long, default_value_t = 100)]
    keys: u32,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// Messages that a consumer may hold.
    #[arg(long, default_value_t = 2_000)]
    prefetch: usize,
    /// Messages a second when latency is measured.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Seconds of a round when latency is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Other libraries too; the program must be built with them (feature `peers`).
    #[arg(long)]
    peers: bool,
    /// Only contenders whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Writes a page with plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Runs one round, whose task is on standard input.
    #[arg(long, hide = true)]
    child: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// A table.
    #[default]
    Human,
    /// One JSON document.
    Json,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| {
        let done = runtime.block_on(async {
            // In a task, as an application's work is: what `block_on` runs itself is woken from another thread each time.
            if args.child { tokio::spawn(child()).await? } else { parent(args).await }
        });
        // What a contender left running is no reason to wait.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn child() -> Result<bool> {
    let mut task = String::new();
    std::io::stdin().read_to_string(&mut task)?;
    let figures = harness::run_child(serde_json::from_str(&task)?).await?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(true)
}

/// Whether everything could be measured.
async fn parent(mut args: Args) -> Result<bool> {
    let url = args.url.clone().ok_or("name the broker: anybroker-bench URL")?;
    let field = field(&url)?;
    if args.peers {
        field.has_peers()?;
    }
    let progress = Progress::start();
    let scale = args.scaling.take().map(|dimensions| Scale {
        dimensions: if dimensions.is_empty() { Dimension::of(&field) } else { dimensions },
        most: std::mem::take(&mut args.most),
    });
    let (html, format) = (args.html.clone(), args.format);
    let options = options(url, args, &field, scale.is_some());
    if let Some(scale) = scale {
        let report = harness::scale(&options, &scale, &field, &progress).await?;
        progress.end();
        show(html, format, &report, || report.html(), || report.text())?;
        return Ok(report.steps.iter().all(|step| step.row.failure.is_none()));
    }
    let report = harness::run(&options, &field, &progress).await?;
    progress.end();
    show(html, format, &report, || report.html(), || report.text())?;
    Ok(report.rows.iter().all(|row| row.failure.is_none()))
}

fn options(url: String, args: Args, field: &Field, scaling: bool) -> Options {
    let sizes = if scaling { vec![128] } else { vec![128, 1024, 16384] };
    Options {
        url,
        operations: if args.operation.is_empty() { field.operations().to_vec() } else { args.operation },
        sizes: if args.size.is_empty() { sizes } else { args.size },
        rounds: args.rounds,
        messages: args.messages,
        keys: args.keys,
        partitions: args.partitions,
        prefetch: args.prefetch,
        rate: args.rate.max(1),
        seconds: args.seconds.max(1),
        peers: args.peers,
        only: args.only,
    }
}

/// Writes the page, and prints.
fn show(
    html: Option<PathBuf>,
    format: Format,
    report: &impl serde::Serialize,
    page: impl Fn() -> String,
    text: impl Fn() -> String,
) -> Result<()> {
    if let Some(file) = html {
        std::fs::write(&file, page()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    match format {
        Format::Human => print!("{}", text()),
        Format::Json => println!("{}", serde_json::to_string_pretty(report)?),
    }
    Ok(())
}
