//! One transaction of an appender, and what it answers to whom.

use std::collections::VecDeque;

use anybroker_core::{Error, Kind, Result};

use super::appender_batch::{Group, Request};
use super::store::{Append, Placed};
use super::{EventStore, Store};
use crate::database::typed;

/// How often a transaction that was in another's way is done again, and an append that lost a race.
const ATTEMPTS: usize = 5;

/// What is left when the transaction is over.
pub(super) struct Written {
    /// Its streams.
    pub(super) streams: Vec<String>,
    /// What is to be tried again, before what came later.
    pub(super) again: VecDeque<Request>,
}

/// One transaction; if one append spoils it, each by itself.
pub(super) async fn write<D: Store>(store: &EventStore<D>, groups: Vec<Group>) -> Written {
    let streams = groups.iter().map(|group| group.stream().to_owned()).collect();
    let again = match transaction(store, &groups).await {
        Ok(placed) => answer(store, groups, placed).await,
        Err(error) if is_spoilt(&error) && count(&groups) > 1 => {
            let mut again = VecDeque::new();
            for request in groups.into_iter().flat_map(|group| group.requests) {
                let alone = vec![Group::of(request)];
                match transaction(store, &alone).await {
                    Ok(placed) => again.append(&mut answer(store, alone, placed).await),
                    Err(error) => fail(alone, &error),
                }
            }
            again
        }
        Err(error) => {
            fail(groups, &error);
            VecDeque::new()
        }
    };
    Written { streams, again }
}

fn count(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.requests.len()).sum()
}

async fn transaction<D: Store>(store: &EventStore<D>, groups: &[Group]) -> Result<Vec<Option<Placed>>> {
    let appends: Vec<_> = groups.iter().map(Group::append).collect();
    let mut tried = 1;
    loop {
        match attempt(store, &appends).await {
            Err(error) if matches!(error.kind(), Kind::Throttled) && tried < ATTEMPTS => tried += 1,
            done => return done,
        }
    }
}

async fn attempt<D: Store>(store: &EventStore<D>, appends: &[Append<'_>]) -> Result<Vec<Option<Placed>>> {
    let mut transaction = store.begin().await?;
    let placed = store.database.append(&mut transaction, appends, store.notify).await?;
    transaction.commit().await.map_err(|error| typed("commit", error))?;
    Ok(placed)
}

async fn answer<D: Store>(
    store: &EventStore<D>,
    groups: Vec<Group>,
    placed: Vec<Option<Placed>>,
) -> VecDeque<Request> {
    let mut again = VecDeque::new();
    for (group, placed) in groups.into_iter().zip(placed) {
        match placed {
            Some(placed) => succeed(group, &placed),
            None => again.extend(refuse(store, group).await),
        }
    }
    again
}

/// Tells the first append of a group why it was refused; the others are tried again without it.
async fn refuse<D: Store>(store: &EventStore<D>, group: Group) -> Vec<Request> {
    let refused = async {
        let mut connection = store.connection().await?;
        store.refused(&mut connection, group.stream(), group.expected()).await
    };
    let refused = refused.await;
    let mut requests = group.requests;
    let error = match refused {
        Ok(Some(error)) => error,
        Ok(None) if requests.first().is_some_and(|first| first.attempts < ATTEMPTS) => {
            requests.iter_mut().for_each(|request| request.attempts += 1);
            return requests;
        }
        Ok(None) => {
            let text = "others append to the stream all the time";
            Error::new(Kind::Throttled, "append", text).advice("append again").into()
        }
        Err(error) => error.into(),
    };
    if !requests.is_empty() {
        let _ = requests.remove(0).reply.send(Err(error));
    }
    requests
}

/// Whether the statement itself was refused: perhaps only for one of the events in it.
fn is_spoilt(error: &Error) -> bool {
    !error.is_retryable() && error.fate() == anybroker_core::Fate::NotApplied
}

fn succeed(group: Group, placed: &Placed) {
    let mut count = 0;
    for request in group.requests {
        count += request.events.len();
        let _ = request.reply.send(Ok(placed.upto(count)));
    }
}

fn fail(groups: Vec<Group>, error: &Error) {
    for request in groups.into_iter().flat_map(|group| group.requests) {
        let _ = request.reply.send(Err(error.duplicate().into()));
    }
}
