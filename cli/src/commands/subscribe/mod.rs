//! `anybroker sub URL TOPIC --group G`: prints one message a line, and settles what it printed.

mod reception;
pub(super) mod render;

use std::time::{Duration, Instant};

use anybroker::{Broker, Consumer, Group, Start, Subscription, Topic};
use clap::ValueEnum;

use crate::args::Format;
use crate::connect::{close, connect_to_keep, within};
use crate::failure::{Done, Failure};
use crate::output::{self, Lines};
use crate::place::Place;
use anybroker::worker::Signals;
use reception::{Ended, Reception};

/// The most messages held at once, unless the command line says otherwise.
const PREFETCH: usize = 500;
/// The same for `--no-ack`, which holds everything that it prints.
const PREFETCH_NO_ACK: usize = 10_000;
/// How long a new member may take to be given its share, during which `--idle` does not end it while messages wait.
const JOINING: Duration = Duration::from_secs(10);

/// Arguments of `sub`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Stops after --max messages, after --idle seconds without one, or on SIGINT or SIGTERM, and
acknowledges what it printed before it ends. Messages that come while it ends are left for the
next member of the group.

Examples:
  anybroker sub kafka://127.0.0.1:9092 orders --group billing
  anybroker sub kafka://127.0.0.1:9092 orders --group look --from earliest --max 10
  anybroker sub amqp://guest:guest@127.0.0.1:5672 orders --group billing --idle 5 --no-ack")]
pub(crate) struct Args {
    /// The broker's URL, or @PROFILE.
    pub(crate) url: Place,
    /// The topic.
    topic: Topic,
    /// The consumer group, whose members share the messages.
    #[arg(long, value_name = "G")]
    group: Group,
    /// Where to start.
    #[arg(long, value_enum, default_value_t)]
    from: From,
    /// Stop after this many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Stop after this long without a message. Joining a group that has messages waiting may take 10 s before that.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle: Option<Duration>,
    /// Give every message back at the end instead of acknowledging it.
    #[arg(long)]
    no_ack: bool,
    /// The most messages held at once [default: 500, with --no-ack 10000, and never more than --max].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    prefetch: Option<u16>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Where to start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum From {
    /// With the earliest message that is kept, also if the group has seen it.
    Earliest,
    /// With what is published from now on.
    Latest,
    /// Where the group left off; a new group at the earliest.
    #[default]
    Resume,
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is no number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("it must be more than 0 seconds".to_owned()),
    }
}

impl Args {
    fn prefetch(&self) -> usize {
        let default = if self.no_ack { PREFETCH_NO_ACK } else { PREFETCH };
        let prefetch = self.prefetch.map_or(default, usize::from);
        self.max.map_or(prefetch, |max| prefetch.min(usize::try_from(max).unwrap_or(usize::MAX)))
    }

    fn subscription(&self) -> Subscription {
        let start = match self.from {
            From::Earliest => Start::Earliest,
            From::Latest => Start::Latest,
            From::Resume => Start::Resume,
        };
        Subscription::new(self.topic.clone(), self.group.clone()).start(start).prefetch(self.prefetch())
    }
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    let mut signals = Signals::catch()?;
    let broker = connect_to_keep(&args.url).await?;
    let received = receive(&broker, &args, &mut signals).await;
    if let Ok(Received::GivenUp) = received {
        // Nobody wants to wait for a broker that does not answer.
        output::note("given up: what was printed last may come again");
    } else {
        close(&broker).await;
    }
    match received? {
        Received::Settled(done) => Ok(done),
        Received::GivenUp => Ok(Done::DoesNotHold),
    }
}

/// How receiving came to its end.
enum Received {
    Settled(Done),
    /// A second signal came before the broker had the acknowledgements.
    GivenUp,
}

/// Whether messages wait for the group.
async fn waits(broker: &Broker, args: &Args) -> bool {
    if args.from == From::Latest {
        return false;
    }
    let backlog = within("backlog", broker.admin().backlog(&args.topic, &args.group)).await;
    backlog.is_ok_and(|messages| messages > 0)
}

async fn receive(broker: &Broker, args: &Args, signals: &mut Signals) -> Result<Received, Failure> {
    let opened = tokio::select! {
        opened = within("subscribe", broker.consumer(args.subscription())) => opened,
        () = signals.next() => return Ok(Received::Settled(Done::Holds)),
    };
    let mut consumer = opened?;
    let mut reception = Reception::new(args, consumer.settler(), Lines::new());
    let ended = take(broker, args, &mut reception, &mut *consumer, signals).await;
    let settled = tokio::select! {
        settled = settle(reception, consumer) => settled,
        () = signals.next() => return Ok(Received::GivenUp),
    };
    if ended? == Ended::Full {
        output::note("stopped: --no-ack holds what it prints, and can hold no more; see --prefetch");
    }
    settled.map(Received::Settled)
}

/// Prints what comes.
async fn take(
    broker: &Broker,
    args: &Args,
    reception: &mut Reception,
    consumer: &mut dyn Consumer,
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    let joined = Instant::now();
    loop {
        let ended = reception.run(consumer, signals).await?;
        let joining = ended == Ended::Idle && reception.is_fresh() && joined.elapsed() < JOINING;
        if !joining || !waits(broker, args).await {
            return Ok(ended);
        }
        reception.wait_again();
    }
}

/// Acknowledges what was printed, waits for the broker to have it, and leaves the group.
async fn settle(mut reception: Reception, consumer: Box<dyn Consumer>) -> Result<Done, Failure> {
    let refused = reception.finish().await;
    within("close", consumer.close()).await?;
    if let Some((count, error)) = refused {
        output::note(&format!(
            "{count} messages that were printed could not be acknowledged and come again: {error}"
        ));
        return Ok(Done::DoesNotHold);
    }
    Ok(Done::Holds)
}
