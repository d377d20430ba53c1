//! The idempotent consumer: a message's effect, the note that it was handled and what follows are one transaction.

use std::collections::HashSet;

use anybroker::worker::Failure;
use anybroker::{Delivery, Error, Key, Kind};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::events::Fact;
use crate::stages;
use crate::state::{Count, count, database};
use crate::topics::Place;

/// A message that went through its handler, now or earlier.
pub(crate) struct Handled {
    pub(crate) key: Option<Key>,
    /// What follows from it, to be published before it is acknowledged.
    pub(crate) result: Result<Option<Fact>, Failure>,
}

/// Handles a batch within `transaction`, which an error of its own undoes.
pub(crate) fn handle_all(
    transaction: &Transaction<'_>,
    place: Place,
    batch: &[Delivery],
) -> anybroker::Result<Vec<Handled>> {
    let (mut all, mut failed) = (Vec::new(), HashSet::new());
    for delivery in batch {
        let key = delivery.to_key();
        let result = match failed.contains(&key) {
            // It comes again behind the one that failed, and must not take effect before.
            true => Err(Failure::retryable("an earlier message of its key failed")),
            false => match handle(transaction, place, delivery) {
                Ok(follows) => Ok(follows),
                Err(error) if error.kind() == Kind::Decode => Err(error.into()),
                Err(error) if error.is_retryable() => {
                    count(transaction, Count::Retried, 1)?;
                    failed.insert(key.clone());
                    Err(error.into())
                }
                Err(error) => return Err(error),
            },
        };
        all.push(Handled { key, result });
    }
    Ok(all)
}

/// Handles a message once. A second delivery of it has no effect, and gives what followed from the first.
fn handle(
    transaction: &Transaction<'_>,
    place: Place,
    delivery: &Delivery,
) -> anybroker::Result<Option<Fact>> {
    count(transaction, Count::Delivered, 1)?;
    count(transaction, Count::Redelivered, delivery.redelivered().into())?;
    let id = delivery.id().ok_or_else(|| Error::new(Kind::Decode, "handle", "it has no id"))?.to_string();
    if let Some((follows, earlier_life)) = handled_before(transaction, place, &id)? {
        count(transaction, Count::Suppressed, 1)?;
        count(transaction, Count::Repeated, earlier_life.into())?;
        return Ok(follows);
    }
    stumble(&id, delivery.attempt())?;
    // A handler decodes before it writes: one that fails has written nothing.
    let follows = match place {
        Place::Payment => stages::payment(transaction, delivery),
        Place::Inventory => stages::inventory(transaction, delivery),
        Place::Shipping => stages::shipping(delivery),
        Place::Office => stages::office(transaction, delivery),
    }?;
    note(transaction, place, &id, follows.as_ref())?;
    Ok(follows)
}

/// What followed from a message that was handled before, and whether that was before a crash.
fn handled_before(
    transaction: &Transaction<'_>,
    place: Place,
    id: &str,
) -> anybroker::Result<Option<(Option<Fact>, bool)>> {
    const SQL: &str = "SELECT follows, life < (SELECT resumed FROM run) FROM handled
                       WHERE service = ?1 AND message = ?2";
    let mut statement = transaction.prepare_cached(SQL).map_err(database)?;
    let found = statement.query_row([place.service(), id], |row| {
        Ok((row.get::<_, Option<String>>(0)?, row.get::<_, bool>(1)?))
    });
    let Some((follows, earlier_life)) = found.optional().map_err(database)? else { return Ok(None) };
    Ok(Some((follows.map(|text| serde_json::from_str(&text)).transpose().map_err(stored)?, earlier_life)))
}

fn note(
    transaction: &Transaction<'_>,
    place: Place,
    id: &str,
    follows: Option<&Fact>,
) -> anybroker::Result<()> {
    const SQL: &str = "INSERT INTO handled (service, message, life, follows)
                       VALUES (?1, ?2, (SELECT resumed FROM run), ?3)";
    let follows = follows.map(serde_json::to_string).transpose().map_err(stored)?;
    let mut statement = transaction.prepare_cached(SQL).map_err(database)?;
    statement.execute(params![place.service(), id, follows]).map_err(database).map(drop)
}

fn stored(error: serde_json::Error) -> Error {
    Error::new(Kind::Unexpected, "state", "what follows from a message does not read").with_source(error)
}

/// Every 37th message fails at its first attempt, as a payment provider that is briefly away would make it. The id
/// decides, so that every run has the same mishaps.
fn stumble(id: &str, attempt: u32) -> anybroker::Result<()> {
    let sum: u64 = id.bytes().map(u64::from).sum();
    if attempt == 1 && sum % 37 == 5 {
        return Err(Error::new(Kind::TimedOut, "handle", "the provider did not answer"));
    }
    Ok(())
}
