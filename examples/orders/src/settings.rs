//! What the command line and the environment say.

use std::path::{Path, PathBuf};

use anybroker::URL_VARIABLE;

pub(crate) const USAGE: &str = "\
usage: orders [ORDERS [MEMBERS]] [--state FILE] [--format human|json]
  ORDERS         how many orders [3000]
  MEMBERS        how many members serve each stage [2]
  --state FILE   where the services keep what they did [beside the program, one file for each broker]
  ANYBROKER_URL chooses the broker [an embedded one, in a file beside the state]";

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) orders: u32,
    pub(crate) members: u32,
    pub(crate) json: bool,
    pub(crate) url: String,
    pub(crate) state: PathBuf,
}

impl Settings {
    pub(crate) fn read() -> Result<Self, String> {
        let (mut json, mut state, mut numbers) = (false, None, Vec::new());
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--format" => json = format(arguments.next().as_deref())?,
                "--state" => state = Some(PathBuf::from(arguments.next().ok_or("--state takes a file")?)),
                number => numbers.push(number.parse().map_err(|_| format!("`{number}` is no number"))?),
            }
        }
        if numbers.len() > 2 || numbers.contains(&0) {
            return Err("there are at most two numbers, and neither is 0".to_owned());
        }
        let url = std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty());
        let state = std::path::absolute(state.map_or_else(|| default_state(url.as_deref()), Ok)?)
            .map_err(|error| format!("--state: {error}"))?;
        let url = url.unwrap_or_else(|| embedded(&state));
        let mut numbers = numbers.into_iter();
        let (orders, members) = (numbers.next().unwrap_or(3_000), numbers.next().unwrap_or(2));
        Ok(Settings { orders, members, json, url, state })
    }

    /// Tells people what is going on; a program that reads the report is not disturbed.
    pub(crate) fn say(&self, text: &str) {
        if self.json { eprintln!("{text}") } else { println!("{text}") }
    }
}

fn format(name: Option<&str>) -> Result<bool, String> {
    match name {
        Some("json") => Ok(true),
        Some("human") => Ok(false),
        _ => Err("--format takes human or json".to_owned()),
    }
}

/// Beside the program, so that it does not matter from where it is run; a broker's run is not mistaken for another's.
fn default_state(url: Option<&str>) -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("where the program lies: {error}"))?;
    let name = match url {
        None => "orders.db".to_owned(),
        Some(url) => format!("orders-{}.db", file_name(url)),
    };
    Ok(program.with_file_name(name))
}

/// The URL's host, port and path as part of a file's name, without its login and parameters.
fn file_name(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("{scheme}-{place}").chars().map(legal).collect()
}

/// The embedded broker's file lies beside the state.
fn embedded(state: &Path) -> String {
    let file = state.with_extension("broker.db");
    format!("sqlite://{}", file.to_string_lossy().replace('%', "%25").replace('?', "%3F"))
}
