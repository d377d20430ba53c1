//! What the command line and the environment say.

use std::path::{Path, PathBuf};

use anybroker::URL_VARIABLE;

pub(crate) const USAGE: &str = "\
usage: orders [ORDERS [MEMBERS]] [--state FILE] [--serve ADDRESS] [--format human|json]
  ORDERS         how many orders [300]
  MEMBERS        how many members serve each group [1]
  --state FILE   the database's file; with another database, what its lock is called after
                 [beside the program, one file for each broker and database]
  --serve ADDRESS  serves a web page that shows how everything stands, as 127.0.0.1:8080; so does ORDERS_HTTP=ADDRESS
  DATABASE_URL   chooses the database: sqlite:///path or postgres://… [SQLite, the state's file]
  ANYBROKER_URL  chooses the broker [an embedded one, in a file beside the state]";

/// The variable that names the database.
const DATABASE_VARIABLE: &str = "DATABASE_URL";

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) orders: u32,
    pub(crate) members: u32,
    pub(crate) json: bool,
    pub(crate) broker: String,
    /// PostgreSQL's URL; the state's file otherwise.
    pub(crate) postgres: Option<String>,
    pub(crate) state: PathBuf,
    /// Where the page is served, if it is.
    pub(crate) page: Option<String>,
}

impl Settings {
    pub(crate) fn read() -> Result<Self, String> {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let (mut json, mut state, mut numbers, mut page) = (false, None, Vec::new(), variable("ORDERS_HTTP"));
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--format" => json = format(arguments.next().as_deref())?,
                "--state" => state = Some(PathBuf::from(arguments.next().ok_or("--state takes a file")?)),
                "--serve" => page = Some(arguments.next().ok_or("--serve takes an address")?),
                number => numbers.push(number.parse().map_err(|_| format!("`{number}` is no number"))?),
            }
        }
        if numbers.len() > 2 || numbers.contains(&0) {
            return Err("there are at most two numbers, and neither is 0".to_owned());
        }
        let (url, mut postgres) = (variable(URL_VARIABLE), variable(DATABASE_VARIABLE));
        if let Some(file) = postgres.as_ref().and_then(|url| url.strip_prefix("sqlite://")) {
            (state, postgres) = (Some(PathBuf::from(file)), None);
        }
        let default = || default_state(url.as_deref(), postgres.as_deref());
        let state = std::path::absolute(state.map_or_else(default, Ok)?)
            .map_err(|error| format!("--state: {error}"))?;
        let broker = url.unwrap_or_else(|| embedded(&state));
        let mut numbers = numbers.into_iter();
        let (orders, members) = (numbers.next().unwrap_or(300), numbers.next().unwrap_or(1));
        Ok(Settings { orders, members, json, broker, postgres, state, page })
    }

    /// For people, without a login.
    pub(crate) fn database_name(&self) -> String {
        match &self.postgres {
            Some(url) => file_name(url),
            None => self.state.display().to_string(),
        }
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

/// Beside the program, so that it does not matter from where it is run; a run is not mistaken for that of another broker or
/// database.
fn default_state(broker: Option<&str>, postgres: Option<&str>) -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("where the program lies: {error}"))?;
    let mut name = "orders".to_owned();
    for url in [broker, postgres].into_iter().flatten() {
        name += &format!("-{}", file_name(url));
    }
    Ok(program.with_file_name(name + ".db"))
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
