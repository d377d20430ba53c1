//! What a registry of schemas says, and takes.

use std::path::PathBuf;

use anybroker::patterns::schema::{Registered, RegistryError, Schema};
use serde::Serialize;

use super::open::{Server, open};
use super::{failure, read, some};
use crate::args::Format;
use crate::failure::{Done, Failure};
use crate::output;

/// Arguments of `schema register`.
#[derive(Debug, clap::Args)]
pub(super) struct RegisterArgs {
    /// The directory of schemas.
    directory: PathBuf,
    /// The server.
    #[arg(long, value_name = "URL")]
    registry: String,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What the server says of a schema that it does not have.
#[derive(Serialize)]
pub(super) struct Asked {
    event_type: String,
    version: u32,
    pub(super) accepted: bool,
    reasons: Vec<String>,
}

impl Asked {
    pub(super) fn lines(&self) -> Vec<String> {
        let verdict = if self.accepted { "takes it" } else { "refuses it" };
        let first = format!("{} version {}: the registry {verdict}", self.event_type, self.version);
        std::iter::once(first).chain(self.reasons.iter().map(|reason| format!("  {reason}"))).collect()
    }
}

/// What became of a schema.
#[derive(Serialize)]
struct Line<'a> {
    event_type: &'a str,
    version: u32,
    /// A number, or of Glue a UUID.
    id: Option<serde_json::Value>,
    /// `new`, `unchanged` or `refused`.
    registered: &'static str,
    reason: Option<String>,
}

/// Asks of each schema of a directory that is not published yet.
pub(super) async fn ask(
    server: &Server,
    schemas: &[Schema],
    published: &[Schema],
    of_a_directory: bool,
) -> Result<Vec<Asked>, Failure> {
    let mut asked = Vec::new();
    let is_there = |schema: &Schema| {
        published.iter().any(|it| (&it.event_type, it.version) == (&schema.event_type, schema.version))
    };
    for schema in schemas.iter().filter(|schema| of_a_directory && !is_there(schema)) {
        let judged = server.judge(schema).await.map_err(failure)?;
        let mut reasons = judged.reasons;
        if !judged.compatible && reasons.is_empty() {
            let level = server.level(&schema.event_type).await.map_err(failure)?;
            let level = level.map_or("its level".to_owned(), |level| level.to_string());
            reasons.push(format!("it is not compatible by {level}; registering says more"));
        }
        let Schema { event_type, version, .. } = schema.clone();
        asked.push(Asked { event_type, version, accepted: judged.compatible, reasons });
    }
    Ok(asked)
}

/// Registers all in the order of their versions. After one that is refused, none of its type.
pub(super) async fn register(args: RegisterArgs) -> Result<Done, Failure> {
    let server = open(&args.registry).await?;
    let schemas = some(read(&args.directory)?, &args.directory)?;
    let mut refused: Vec<&str> = Vec::new();
    for schema in &schemas {
        let Schema { event_type, version, .. } = schema;
        if refused.contains(&event_type.as_str()) {
            continue;
        }
        let (id, registered, reason) = match server.register(schema).await {
            Ok((id, Registered::New)) => (Some(id), "new", None),
            Ok((id, Registered::Unchanged)) => (Some(id), "unchanged", None),
            Err(error @ (RegistryError::Changed { .. } | RegistryError::Incompatible { .. })) => {
                refused.push(event_type);
                (None, "refused", Some(error.to_string()))
            }
            Err(error) => return Err(failure(error)),
        };
        let line = Line { event_type, version: *version, id, registered, reason };
        match args.format {
            Format::Json => output::print_json(&line)?,
            Format::Human => output::print(&text(&line))?,
        }
    }
    Ok(Done::if_holds(refused.is_empty()))
}

fn text(line: &Line<'_>) -> String {
    let Line { event_type, version, id, registered, reason } = line;
    match (id, reason) {
        (Some(id), _) => {
            let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            format!("{event_type} version {version}: {registered}, id {id}")
        }
        (None, reason) => {
            format!("{event_type} version {version}: {registered}: {}", reason.as_deref().unwrap_or_default())
        }
    }
}
