//! `anybroker pub URL TOPIC [FILE|-]`: one message a line, in order, in bounded memory.

mod envelope;
mod fields;
mod input;
mod outcome;
mod pipeline;
mod template;

use std::path::PathBuf;

use anybroker::{PublisherOptions, Topic};
use clap::ValueEnum;

use crate::args::Format;
use crate::connect::{close, connect_to_keep, within};
use crate::failure::{Done, Failure};
use crate::place::Place;
use crate::progress;
use anybroker::worker::Signals;
use input::Source;
use outcome::Tally;
use pipeline::Pipeline;
use template::Template;

/// Arguments of `pub`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Input, one message a line:
  lines     the payload is the line without its end (LF or CRLF); an empty line is an empty
            message
  json      the payload is the line, which must be JSON; blank lines are skipped
  envelope  {\"id\",\"key\",\"headers\":{},\"type\",\"payload\"}: only the payload is needed. A string
            stands for its bytes, other JSON for itself; `payload_base64` is for binary.
            What `sub --format json` prints can be published again as it is.

Examples:
  echo hello | anybroker pub kafka://127.0.0.1:9092 greetings
  anybroker pub kafka://127.0.0.1:9092 orders --key-field customer.id --id-field id o.jsonl
  anybroker pub amqp://guest:guest@127.0.0.1:5672 orders --key c-7 -H tenant=acme o.txt
  anybroker pub kafka://127.0.0.1:9092 orders --input envelope --format json - < e.jsonl

A line that does not read counts as failed, and the others go on. When a message fails, the
later ones of its key are not sent, so that the key has no gap. Exit code 1 if any message is
not ok, or if it was interrupted before the end of its input.")]
pub(crate) struct Args {
    /// The broker's URL, or @PROFILE.
    pub(crate) url: Place,
    /// The topic.
    topic: Topic,
    /// What to read; `-` is stdin.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// How lines become messages [default: json if a field is named, otherwise lines].
    #[arg(long, value_enum)]
    input: Option<Input>,
    /// The key of every message, by which they keep their order.
    #[arg(long, value_name = "K")]
    key: Option<String>,
    /// The field of each JSON line that is its key; fields of fields with dots.
    #[arg(long, value_name = "F", conflicts_with = "key")]
    key_field: Option<String>,
    /// The field of each JSON line that is its id, by which repeated messages are known.
    #[arg(long, value_name = "F")]
    id_field: Option<String>,
    /// A header of every message; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = template::parse_header)]
    headers: Vec<(String, String)>,
    /// The event type of every message.
    #[arg(long = "type", value_name = "T")]
    event_type: Option<String>,
    /// How to print outcomes.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How lines become messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Input {
    /// The payload is the line.
    Lines,
    /// The payload is the line, which must be JSON.
    Json,
    /// The line is an envelope.
    Envelope,
}

pub(crate) async fn run(args: Args) -> Result<Done, Failure> {
    let template = Template::new(&args)?;
    let source = Source::open(&args.file)?;
    let mut signals = Signals::catch()?;
    let bar = progress::bytes(source.size(), args.format == Format::Json);

    let broker = connect_to_keep(&args.url).await?;
    let publisher = within("publish", broker.publisher(PublisherOptions::new(args.topic))).await;
    let publisher = match publisher {
        Ok(publisher) => publisher,
        Err(error) => {
            close(&broker).await;
            return Err(error.into());
        }
    };
    let mut pipeline = Pipeline::new(&*publisher, template, Tally::new(args.format, bar));
    let ended = pipeline.run(source.start(), &mut signals).await;
    let done = pipeline.finish(&mut signals).await;
    if pipeline.abandoned() {
        // Closing would wait for what nobody wants to wait for.
        return done;
    }
    let closed = within("close", publisher.close()).await;
    close(&broker).await;
    ended?;
    closed?;
    done
}
