//! Which letters are meant.

use std::time::SystemTime;

use anybroker::dead_letter::{Filter, Letters};
use anybroker::{MessageId, ReasonClass, Topic};

use crate::output;

/// Which letters are meant: those for which everything holds that is stated.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which letters")]
pub(crate) struct Choice {
    /// The event type.
    #[arg(long = "type", value_name = "T")]
    event_type: Option<String>,
    /// A part of the reason, or of an error that caused it.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// The kind of failure: retryable, permanent, poison, broker-limit, parked.
    #[arg(long, value_name = "C")]
    class: Option<ReasonClass>,
    /// The key.
    #[arg(long, value_name = "K")]
    key: Option<String>,
    /// The id, as `list` shows it; may be repeated.
    #[arg(long = "id", value_name = "ID")]
    pub(super) ids: Vec<MessageId>,
    /// The topic that it was consumed from.
    #[arg(long, value_name = "TOPIC")]
    from: Option<Topic>,
    /// Given up at this time or later: 2026-11-26T13:00:00Z, or 2h for two hours ago.
    #[arg(long, value_name = "T", value_parser = time)]
    since: Option<SystemTime>,
    /// Given up before this time.
    #[arg(long, value_name = "T", value_parser = time)]
    until: Option<SystemTime>,
}

impl Choice {
    /// The letter of that id.
    pub(super) fn only(id: &MessageId) -> Self {
        Choice { ids: vec![id.clone()], ..Choice::default() }
    }

    pub(super) fn filter(&self) -> Filter {
        Filter {
            event_type: self.event_type.clone(),
            error: self.error.clone(),
            class: self.class,
            key: self.key.as_deref().map(Into::into),
            ids: self.ids.clone(),
            origin: self.from.clone(),
            since: self.since,
            until: self.until,
        }
    }

    /// Whether nothing that comes after these can be meant.
    pub(super) fn is_found(&self, letters: &Letters) -> bool {
        !self.ids.is_empty() && self.missing(letters).next().is_none()
    }

    /// Says which of the ids are not there; whether none is missing.
    pub(super) fn complain(&self, letters: &Letters) -> bool {
        let missing: Vec<_> = self.missing(letters).collect();
        for id in &missing {
            output::note(&format!("no letter `{id}` among the {} looked at", letters.held().len()));
        }
        missing.is_empty()
    }

    fn missing<'a>(&'a self, letters: &'a Letters) -> impl Iterator<Item = &'a MessageId> {
        self.ids.iter().filter(|id| !letters.held().iter().any(|letter| letter.is(id)))
    }
}

/// A time, or how long ago it was.
fn time(text: &str) -> Result<SystemTime, String> {
    let wrong =
        || "it is neither a time such as 2026-11-26T13:00:00Z nor how long ago, such as 2h".to_owned();
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text).map_err(|_| wrong())?;
    SystemTime::now().checked_sub(ago).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_times_or_ago() {
        let hour = std::time::Duration::from_secs(3_600);
        let ago = time("1h").unwrap();
        let ago = SystemTime::now().duration_since(ago).unwrap();
        assert!(ago >= hour && ago < 2 * hour);
        assert_eq!(time("1970-01-01T01:00:00Z").unwrap(), SystemTime::UNIX_EPOCH + hour);
        for bad in ["", "yesterday", "1", "99999999999999y"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
