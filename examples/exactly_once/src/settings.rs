//! What the command line says.

use std::path::PathBuf;

use clap::Parser;

/// Counts words in transactions, by workers that are killed all the while.
#[derive(Clone, Debug, Parser)]
#[command(name = "exactly_once")]
pub(crate) struct Settings {
    /// How many messages, of eight words each.
    #[arg(default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: u64,
    /// The broker.
    #[arg(long, env = "ANYBROKER_URL", default_value = "memory://exactly-once")]
    pub(crate) url: String,
    /// How many workers there are at a time.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: u16,
    /// How often one of them is killed.
    #[arg(long, default_value_t = 10)]
    pub(crate) kills: u64,
    /// Without transactions: publish, then acknowledge.
    #[arg(long)]
    pub(crate) at_least_once: bool,
    /// Keeps `lines.txt` and `counts.txt` in this folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Prints one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    /// Decides whom and when to kill.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// What the topics of this run are called after.
    #[arg(long, hide = true, default_value_t = u64::from(std::process::id()))]
    pub(crate) run: u64,
    /// This process is the worker of that name.
    #[arg(long, hide = true)]
    pub(crate) worker: Option<String>,
}

impl Settings {
    /// Whether the broker is in this process, and so its workers have to be.
    pub(crate) fn is_embedded(&self) -> bool {
        self.url.starts_with("memory:")
    }
}
