//! `anybroker profiles`: the brokers that have names, without their secrets.

use serde::Serialize;

use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;
use crate::place::{Profile, Profiles};

/// Arguments of `profiles`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A profile is a broker with a name, in ~/.config/anybroker/profiles.toml (or the file that
ANYBROKER_PROFILES names):

  [profiles.prod]
  url = \"kafka+ssl://kafka-1:9093,kafka-2:9093\"
  user = \"billing\"
  password_file = \"/run/secrets/kafka\"    # or password_env = \"KAFKA_PASSWORD\"
  tls_ca = \"/etc/ssl/company.pem\"
  \"x.compression.codec\" = \"zstd\"         # names with dots stand in quotes

`user` and `password` are the login; everything else is a parameter of the URL. The broker
is taken from the first of these that names one:
  1. the command line: URL, @NAME, @NAME?parameter=value (which goes before the profile's), --profile
  2. ANYBROKER_URL, then ANYBROKER_PROFILE

A file that others may read and that holds a password is warned about.

Examples:
  anybroker profiles
  anybroker lag @prod orders
  anybroker --profile prod topics list")]
pub(crate) struct Args {
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A profile as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    profile: &'a str,
    url: String,
    parameters: serde_json::Map<String, serde_json::Value>,
}

impl<'a> Listed<'a> {
    fn of((name, profile): (&'a String, &Profile)) -> Self {
        let parameters = profile.shown_parameters().into_iter().map(|(name, value)| (name, value.into()));
        Listed { profile: name, url: profile.shown_url(), parameters: parameters.collect() }
    }
}

pub(crate) fn run(args: Args) -> Result<Done, Failure> {
    let profiles = Profiles::read()?;
    match args.format {
        Format::Json => profiles.all.iter().try_for_each(|one| output::print_json(&Listed::of(one)))?,
        Format::Human => output::print(&text(&profiles))?,
    }
    Ok(Done::Holds)
}

fn text(profiles: &Profiles) -> String {
    let mut table = output::table(&["profile", "URL", "parameters"]);
    for (name, profile) in &profiles.all {
        let parameters: Vec<_> =
            profile.shown_parameters().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.add_row([name.clone(), profile.shown_url(), parameters.join(" ")]);
    }
    table.to_string()
}
