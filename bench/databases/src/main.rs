//! `anybroker-bench-databases POSTGRES_URL KAFKA_URL`: events appended, and outbox rows relayed, by anybroker, by hand and by
//! other libraries. Rounds are interleaved; only the ratios of one run mean anything.

mod events;
mod outbox;
mod postgres;
mod rounds;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Measures anybroker's event store and outbox beside hand-written code and other libraries.
///
/// The database gets a schema `bench`, which is dropped first and at the end, and the broker a topic, which is deleted.
#[derive(Debug, Parser)]
#[command(name = "anybroker-bench-databases", version)]
struct Args {
    /// A database that holds nothing of worth.
    #[arg(env = "ANYBROKER_POSTGRES_URL", hide_env_values = true)]
    postgres: String,
    /// Where the outbox is relayed to; without it only events are measured.
    #[arg(env = "ANYBROKER_KAFKA_URL", hide_env_values = true)]
    kafka: Option<String>,
    /// Rounds of each contender.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of a round.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let measured = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(measure(&args)));
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args) -> Result<()> {
    let time = Duration::from_secs(args.seconds.max(1));
    postgres::clear(&args.postgres).await?;
    events::measure(&args.postgres, args.rounds, time).await?;
    if let Some(kafka) = &args.kafka {
        outbox::measure(&args.postgres, kafka, args.rounds, time).await?;
    }
    postgres::drop(&args.postgres).await
}
