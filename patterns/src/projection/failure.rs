//! Whether an event is to blame for a failure, or the circumstances are.

use anybroker_core::{Error, Kind};

use crate::database::typed;

/// What a projection's own functions may fail with: `?` takes sqlx's errors, the event store's and any text.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an event was not applied.
#[derive(Debug)]
pub(super) enum Failure {
    /// It will fail whenever it is tried: it is parked, with this reason.
    Permanent(String),
    /// The same may succeed later: the batch is tried again.
    Transient(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Transient(error)
    }
}

/// Judges the error of a projection's `apply`.
pub(super) fn judge(error: BoxError) -> Failure {
    let error = match error.downcast::<sqlx::Error>() {
        Ok(error) if blames_the_event(&error) => return Failure::Permanent(error.to_string()),
        Ok(error) => return Failure::Transient(typed("apply", *error)),
        Err(error) => error,
    };
    let innocent = database_error(&*error).is_some_and(|error| !blames_the_event(error));
    match error.downcast::<Error>() {
        Ok(error) if innocent || error.is_retryable() || error.kind() == Kind::Closed => {
            Failure::Transient(*error)
        }
        Ok(error) => Failure::Permanent(with_sources(&*error)),
        Err(error) if innocent => Failure::Transient(
            Error::new(Kind::Disconnected, "apply", "the database failed").with_source(error),
        ),
        Err(error) => Failure::Permanent(with_sources(&*error)),
    }
}

/// The database's error beneath.
fn database_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a sqlx::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        next = error.source();
    }
    None
}

/// Only the data can be wrong if a value or a rule is violated, or something was not found or does not decode. Everything
/// else (no connection, no space, no right, a table that is missing or was changed) would happen to every event.
fn blames_the_event(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => of_code(error.code().as_deref().unwrap_or_default(), error.message()),
        sqlx::Error::RowNotFound
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

/// By SQLSTATE's class, or SQLite's result code.
fn of_code(code: &str, message: &str) -> bool {
    match code {
        // What SQLite says of anything that it has no code for.
        "1" => {
            !["no such table", "no such column", "has no column named"].iter().any(|it| message.contains(it))
        }
        // Too large, of the wrong type.
        "18" | "20" => true,
        _ if code.len() == 5 => ["21", "22", "23", "44", "P0"].iter().any(|class| code.starts_with(class)),
        // A constraint; extended codes have more bits.
        _ => code.parse::<u32>().is_ok_and(|code| code & 0xff == 19),
    }
}

/// The error and what is beneath it, in one line.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.contains(&said) {
            text += &format!(": {said}");
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(error: impl Into<BoxError>) -> bool {
        matches!(judge(error.into()), Failure::Permanent(_))
    }

    #[test]
    fn only_what_the_event_is_to_blame_for_is_parked() {
        assert!(parked("no such customer"));
        assert!(parked(Error::new(Kind::Decode, "decode", "no JSON")));
        assert!(parked(sqlx::Error::RowNotFound));
        assert!(!parked(sqlx::Error::PoolTimedOut));
        assert!(!parked(Error::new(Kind::TimedOut, "read", "no answer")));
        assert!(!parked(typed("read", sqlx::Error::PoolClosed)));
        let wrapped =
            Error::new(Kind::Unexpected, "read", "it failed").with_source(sqlx::Error::WorkerCrashed);
        assert!(!parked(wrapped));
    }

    #[test]
    fn codes_are_judged_by_class() {
        for code in ["22P02", "23505", "P0001", "19", "2067", "1299", "20"] {
            assert!(of_code(code, ""), "{code}");
        }
        for code in ["40001", "42P01", "42703", "42501", "53100", "57P01", "5", "13", "8", "10", "3338"] {
            assert!(!of_code(code, ""), "{code}");
        }
        assert!(of_code("1", "malformed JSON") && !of_code("1", "no such table: orders_g1"));
    }
}
