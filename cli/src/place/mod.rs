//! Which broker a command means: a URL, a profile, or what the environment says.

mod arguments;
mod profiles;

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use anybroker::{BrokerUrl, URL_VARIABLE};

pub(crate) use arguments::{Unread, parse};
pub(crate) use profiles::{Profile, Profiles};

use crate::failure::Failure;

/// The environment variable that names a profile.
const PROFILE_VARIABLE: &str = "ANYBROKER_PROFILE";

/// A broker as the command line names it: `scheme://…`, `@profile`, `@profile?parameter=value`, or `@` for what the
/// environment says.
#[derive(Clone)]
pub(crate) struct Place(String);

impl Place {
    /// Whether it can be a broker, and not a topic that stands in its place.
    fn is_one(&self) -> bool {
        self.0.starts_with('@') || self.0.contains("://")
    }

    /// The URL, with its secrets. A profile is looked up.
    pub(crate) fn url(&self) -> Result<String, Failure> {
        let Some(name) = self.0.strip_prefix('@') else {
            // What does not read as a URL is explained where it is used.
            return Ok(self.0.clone());
        };
        if name.is_empty() {
            return default_place().ok_or_else(|| Failure::new(nothing_named()))?.url();
        }
        let (name, overrides) = name.split_once('?').unwrap_or((name, ""));
        Profiles::read()?.get(name)?.url(overrides)
    }
}

/// What the environment names: `ANYBROKER_URL` before `ANYBROKER_PROFILE`.
fn default_place() -> Option<Place> {
    let variable = |name| std::env::var(name).ok().filter(|value| !matches!(value.as_str(), "" | "@"));
    let profile = || variable(PROFILE_VARIABLE).map(|name| Place(format!("@{name}")));
    variable(URL_VARIABLE).map(Place).or_else(profile)
}

fn nothing_named() -> String {
    format!(
        "no broker is named: give its URL, @PROFILE or --profile, or set {URL_VARIABLE} or {PROFILE_VARIABLE}"
    )
}

impl FromStr for Place {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Place(text.to_owned()))
    }
}

impl fmt::Debug for Place {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.parse::<BrokerUrl>() {
            Ok(url) => url.fmt(f),
            Err(_) => {
                f.write_str(self.0.split('?').next().filter(|text| text.starts_with('@')).unwrap_or("?"))
            }
        }
    }
}
