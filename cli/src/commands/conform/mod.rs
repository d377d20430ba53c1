//! `anybroker conform URL`: runs the cases of the conformance suite on a broker, and says whether every promise was
//! exercised and held.

mod interrupted;
mod liars;
mod outputs;
mod soaked;
mod watched;

use std::process::ExitCode;
use std::sync::Arc;

use anybroker_conformance::report::Document;
use anybroker_conformance::run::{self, FaultLevel, Options, RunReport};
use anybroker_conformance::subject::{Open, Subject, member};
use clap::ValueEnum;
pub(crate) use outputs::Outputs;

use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;
use crate::place::Place;
use anybroker::worker::Signals;
use watched::Watched;

/// Arguments of `conform`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  every promised property was exercised often enough, and held
  1  one did not hold, or was not exercised, or a case failed
  2  wrong usage, no answer from the broker, or interrupted

Topics are created and deleted; messages on others are left alone. --faults all kills and pauses
the broker, which must be one that `anybroker brokers up` has started.

Examples:
  anybroker conform memory://
  anybroker brokers up nats && anybroker conform nats://127.0.0.1:4222 --html nats.html
  anybroker conform @staging --faults client --seed 7 --format json
  anybroker conform --liars --format json
  anybroker conform @test --minutes 60 --messages 1000000 --state soak.json")]
pub(crate) struct Args {
    /// The broker: its URL, or @PROFILE.
    #[arg(required_unless_present = "liars")]
    pub(crate) url: Option<Place>,
    /// In place of a broker: brokers that are broken on purpose, each of which has to be named, and honest ones.
    #[arg(long, conflicts_with_all = ["url", "faults", "minutes"])]
    liars: bool,
    /// What may be broken: nothing, connections and members, or also the broker's process.
    #[arg(long, value_enum, default_value_t)]
    faults: Faults,
    /// Repeats the random choices of an earlier run.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The configuration's name in reports [default: the broker's].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    soak: soaked::Soak,
    #[command(flatten)]
    outputs: Outputs,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Faults {
    /// Nothing.
    None,
    /// Connections through a proxy, and members in processes of their own.
    Client,
    /// Also the broker's process.
    #[default]
    All,
}

impl From<Faults> for FaultLevel {
    fn from(faults: Faults) -> Self {
        match faults {
            Faults::None => FaultLevel::None,
            Faults::Client => FaultLevel::Client,
            Faults::All => FaultLevel::All,
        }
    }
}

/// If a run started this process as a member of a group, is that.
pub(crate) fn as_member() -> Option<ExitCode> {
    member(|_| Some(open()))
}

fn open() -> Open {
    Arc::new(|url| Box::pin(async move { anybroker::connect(&url).await }))
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    let mut signals = Signals::catch()?;
    args.outputs.check()?;
    let Some(url) = &args.url else {
        return tokio::select! {
            ended = liars::run(&args) => ended,
            () = signals.next() => Err(Failure::new("interrupted; nothing is kept")),
        };
    };
    let options = Options { faults: args.faults.into(), seed: args.seed.unwrap_or(Options::default().seed) };
    let subject = subject(&args, url).await?;
    let report = match args.soak.run(&subject, options, &mut signals).await {
        Some(soaked) => soaked?,
        None => cases(&subject, &options, &mut signals).await?,
    };
    let holds = report.exit_code() == 0;
    let document = Document::of(report);
    args.outputs.write(&document)?;
    args.outputs.print(&document, args.format)?;
    Ok(Done::if_holds(holds))
}

/// Runs the cases. A signal ends the run, and leaves the broker as it was.
async fn cases(subject: &Subject, options: &Options, signals: &mut Signals) -> Result<RunReport, Failure> {
    let watched = Watched::new(subject, options);
    let report = tokio::select! {
        report = run::run(subject, options, &watched) => report,
        () = signals.next() => return Err(interrupted::restore(subject, options, &watched).await),
    };
    watched.finish();
    Ok(report)
}

/// The broker, once it has answered.
async fn subject(args: &Args, place: &Place) -> Result<Subject, Failure> {
    let url = place.url()?;
    anybroker::check(&url)?;
    let (mut subject, added) = Subject::at(&url, open()).await?;
    if args.faults == Faults::All {
        subject.takes_all_faults().map_err(Failure::new)?;
    }
    subject.reach(&url).await?;
    subject.guarantees().await?;
    if !added.is_empty() {
        output::note(&format!("for this run the URL also has {}", added.join("&")));
    }
    if let Some(name) = &args.name {
        subject.name = name.clone();
    }
    Ok(subject)
}
