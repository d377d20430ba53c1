//! What the clients say of their work, on stderr, for a person who looks for a fault.

use tracing_subscriber::filter::LevelFilter;

use crate::failure::Failure;

/// The environment variable with the level.
const VARIABLE: &str = "ANYBROKER_LOG";

/// Starts logging at the level of `-v`, or of the environment; without either nothing is logged.
pub(crate) fn start(verbose: u8) -> Result<(), Failure> {
    let level = match verbose {
        0 => from_environment()?,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    if level != LevelFilter::OFF {
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
    }
    Ok(())
}

fn from_environment() -> Result<LevelFilter, Failure> {
    let level = std::env::var(VARIABLE).unwrap_or_default();
    if level.is_empty() {
        return Ok(LevelFilter::OFF);
    }
    level
        .parse()
        .map_err(|_| Failure::new(format!("{VARIABLE} is one of off, error, warn, info, debug, trace")))
}
