//! `anybroker doctor URL`: step by step, what works between here and the broker, what does not, and what to change.

mod guarantees;
mod network;
mod report;
mod round_trip;

use std::time::Instant;

use anybroker::{Broker, BrokerUrl, Diagnosis, Error, Finding, Kind, Result as BrokerResult, Topic};

use crate::args::Format;
use crate::connect::{close, within};
use crate::failure::{Done, Failure};
use crate::place::Place;
use crate::progress;
use report::Report;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Looks in order at the URL, name resolution, the TCP connections, encryption, the login, the
server's answer, what it guarantees, and what the backend knows to look at; it ends with the
first step without which the next ones make no sense. Nothing is changed at the server, unless
--round-trip asks for it: that creates a topic, publishes and consumes one message, and deletes
the topic.

Each line is one of
  fine      as it should be
  unknown   it could not be found out
  warning   it works, and something about it should be changed
  failure   it does not work

Exit code 1 if something fails; with --strict also for a warning.

Examples:
  anybroker doctor kafka://127.0.0.1:9092
  anybroker doctor @prod --topic orders --format json
  anybroker doctor amqp://guest:guest@127.0.0.1:5672 --round-trip")]
pub(crate) struct Args {
    /// The broker's URL, or @PROFILE.
    pub(crate) url: Place,
    /// Also look at what publishing to this topic and consuming it needs.
    #[arg(long, value_name = "T")]
    topic: Option<Topic>,
    /// Publish and consume a message on a topic of its own, which is deleted afterwards.
    #[arg(long)]
    round_trip: bool,
    /// Exit code 1 for a warning too.
    #[arg(long)]
    strict: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    let url = args.url.url()?;
    let mut report = Report::new(args.format);
    if let Some(broker) = reach(&url, &mut report).await? {
        let examined = examine(&broker, &args, &mut report).await;
        close(&broker).await;
        examined?;
    }
    report.finish()?;
    Ok(Done::if_holds(report.holds(args.strict)))
}

/// Up to a broker that has accepted the login.
async fn reach(text: &str, report: &mut Report) -> Result<Option<Broker>, Failure> {
    let url: BrokerUrl = match text.parse() {
        Ok(url) => url,
        Err(error) => return report.fail("URL", &error).map(|()| None),
    };
    // Nothing is begun that would have to be given up: a client library's threads must not outlive the command.
    if let Err(error) = anybroker::check(text) {
        return report.fail("URL", &error).map(|()| None);
    }
    report.add(Diagnosis::new(
        "URL",
        Finding::Fine,
        format!("{url}: it reads, and its backend is built in"),
    ))?;
    if !network::look(&url, report).await? {
        return Ok(None);
    }
    let began = Instant::now();
    let bar = progress::waiting("connecting".to_owned());
    let connected = within("connect", anybroker::connect(text)).await;
    bar.finish_and_clear();
    match connected {
        Ok(broker) => {
            network::encryption(&url, report)?;
            let user = url.user.as_ref().map_or_else(String::new, |user| format!(" as `{user}`"));
            let text = format!("accepted{user} in {}", report::milliseconds(began.elapsed()));
            report.add(Diagnosis::new("connection", Finding::Fine, text))?;
            Ok(Some(broker))
        }
        Err(error) => refused(&url, &error, report).map(|()| None),
    }
}

/// Which step it was that failed, as far as the error tells. Mistakes in the URL itself were found before.
fn refused(url: &BrokerUrl, error: &Error, report: &mut Report) -> Result<(), Failure> {
    let text = error.to_string();
    let encrypted = network::is_encrypted(url);
    let (subject, advice) = match error.kind() {
        Kind::PermissionDenied if encrypted && text.contains("certificate") => {
            ("encryption", "tls_certificate= and tls_key= must name a certificate that the server trusts")
        }
        Kind::PermissionDenied => ("login", "correct the user, the password, or the user's permissions"),
        Kind::NotFound => ("login", "correct the name in the URL, or create what it names"),
        // Found out by talking to the server; the adapter knows exactly what is wrong.
        Kind::InvalidConfiguration if encrypted => return report.fail("encryption", error),
        Kind::InvalidConfiguration => return report.fail("protocol", error),
        Kind::Disconnected | Kind::TimedOut if encrypted => (
            "encryption",
            "the port must be the encrypted one, tls_ca= must hold the authority that signed the server's \
             certificate, and the certificate must name the URL's host",
        ),
        Kind::Disconnected | Kind::TimedOut => (
            "protocol",
            "something listens there, but does not answer as this kind of broker: correct the port, or use the \
             encrypted scheme if it is an encrypted one",
        ),
        _ => ("connection", "see the broker's log"),
    };
    report.add(Diagnosis::new(subject, Finding::Failure, text).advice(advice))
}

/// What the broker itself can tell.
async fn examine(broker: &Broker, args: &Args, report: &mut Report) -> Result<(), Failure> {
    match waiting("health", broker.admin().health()).await {
        Ok(time) => {
            let text = format!("it answers in {}", report::milliseconds(time));
            report.add(Diagnosis::new("health", Finding::Fine, text))?;
        }
        Err(error) => return report.fail("health", &error),
    }
    let version = guarantees::look(broker, args.topic.as_ref(), report).await?;
    match waiting("diagnose", broker.admin().diagnose(args.topic.as_ref())).await {
        Ok(found) => found.into_iter().try_for_each(|one| report.add(one))?,
        Err(error) => report.fail("diagnosis", &error)?,
    }
    if let Some(version) = version.filter(|_| !report.speaks_of("version")) {
        report.add(Diagnosis::new("version", Finding::Fine, version))?;
    }
    if args.round_trip {
        round_trip::make(broker, report).await?;
    }
    Ok(())
}

/// Waits for a step, showing on a terminal what for.
async fn waiting<T>(step: &'static str, work: impl Future<Output = BrokerResult<T>>) -> BrokerResult<T> {
    let bar = progress::waiting(step.to_owned());
    let done = within(step, work).await;
    bar.finish_and_clear();
    done
}
