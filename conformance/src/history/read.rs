//! Reads a history strictly, one line at a time.

use std::io::BufRead;

use serde::Deserialize;

use super::assemble::Assembler;
use super::error::{HistoryError, Reason};
use super::header::{Header, VERSION};
use super::lines::Lines;
use super::model::History;
use super::nesting::too_deep;
use super::wire::{Object, Text, time};

/// Reads a history.
///
/// Memory is bounded by the number of events and the length of their ids, whatever the file holds besides.
///
/// # Errors
///
/// The first line that the format does not allow, with the reason.
pub fn read(from: impl BufRead) -> Result<History, HistoryError> {
    let mut lines = Lines::new(from);
    let header = match lines.next()? {
        Some((line, text)) => header(text).map_err(|reason| HistoryError { line, reason })?,
        None => return Err(HistoryError { line: 1, reason: Reason::Empty }),
    };
    let mut assembler = Assembler::new(header);
    while let Some((line, text)) = lines.next()? {
        event(&mut assembler, text, line).map_err(|reason| HistoryError { line, reason })?;
    }
    Ok(assembler.finish())
}

/// What every event has.
#[derive(Deserialize)]
struct Stamp<'a> {
    #[serde(deserialize_with = "time")]
    t: u64,
    #[serde(borrow)]
    e: Text<'a>,
}

fn header(line: &str) -> Result<Header, Reason> {
    let header: Header = parse(line)?;
    if header.history != VERSION {
        return Err(Reason::Malformed(format!("history {:?} is not {VERSION:?}", header.history)));
    }
    Ok(header)
}

fn event(assembler: &mut Assembler, line: &str, number: u64) -> Result<(), Reason> {
    let stamp: Stamp<'_> = parse(line)?;
    let at = assembler.tick(stamp.t, number)?;
    match &*stamp.e {
        "publish" => assembler.publish(at, &parse_event(line)?),
        "published" => assembler.published(at, &parse_event(line)?),
        "begin" => assembler.begin(at, &parse_event(line)?),
        "commit" => assembler.commit(at, &parse_event(line)?),
        "abort" => assembler.abort(at, &parse_event(line)?),
        "transaction_end" => assembler.transaction_end(at, &parse_event(line)?),
        "open" => assembler.open(at, &parse_event(line)?),
        "close" => assembler.close(at, &parse_event(line)?),
        "assign" => assembler.assign(at, &parse_event(line)?),
        "revoke" => assembler.revoke(at, &parse_event(line)?),
        "deliver" => assembler.deliver(at, &parse_event(line)?),
        "settle" => assembler.settle(at, &parse_event(line)?),
        "settled" => assembler.settled(at, &parse_event(line)?),
        "fault" => assembler.fault(at, &parse_event(line)?),
        "evicted" => assembler.evicted(&parse_event(line)?),
        "drained" => assembler.drained(at, &parse_event(line)?),
        other => Err(Reason::UnknownKind(other.chars().take(80).collect())),
    }
}

/// One JSON object on a line that has not been looked at.
fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, Reason> {
    if too_deep(line.as_bytes()) {
        return Err(Reason::TooDeep);
    }
    parse_event(line)
}

/// One JSON object on a line that is known not to be nested too deeply.
fn parse_event<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, Reason> {
    let Object(value) = serde_json::from_str(line).map_err(|error| Reason::Malformed(describe(&error)))?;
    Ok(value)
}

/// The parser's words with the column, without its idea of the line.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(reason) => format!("{reason} (column {})", error.column()),
        None => text,
    }
}
