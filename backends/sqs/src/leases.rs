//! Changes of visibility timeouts: longer for what is held, over at once for what is given back.

use std::collections::BTreeMap;
use std::time::Duration;

use anybroker_core::Kind;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry as Entry;
use futures::future::join_all;
use tokio::time::Instant;

use crate::config::BATCH;
use crate::error::{of_code, typed};
use crate::held::Lease;

/// Requests of one hand-back that are under way at once.
const LANES: usize = 8;

/// What became of a change for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Done,
    /// It is not ours any more.
    Lost,
    /// It may or may not have been changed.
    Unknown,
}

/// Changes the visibility of up to ten messages; one outcome for each.
pub(crate) async fn change(
    client: &Client,
    url: &str,
    handles: Vec<String>,
    visibility: Duration,
) -> Vec<Changed> {
    let seconds = i32::try_from(visibility.as_secs()).unwrap_or(i32::MAX);
    let count = handles.len();
    let entries = handles.into_iter().enumerate().filter_map(|(at, handle)| {
        Entry::builder().id(at.to_string()).receipt_handle(handle).visibility_timeout(seconds).build().ok()
    });
    let request =
        client.change_message_visibility_batch().queue_url(url).set_entries(Some(entries.collect()));
    let mut changed = vec![Changed::Unknown; count];
    match request.send().await {
        Ok(answer) => {
            for entry in answer.successful() {
                if let Some(changed) = entry.id().parse().ok().and_then(|at: usize| changed.get_mut(at)) {
                    *changed = Changed::Done;
                }
            }
            for entry in answer.failed() {
                let error = of_code("extend", entry.code(), entry.message().unwrap_or_default());
                tracing::debug!(%error, "a visibility timeout was not changed");
                let lost = matches!(error.kind(), Kind::LeaseExpired | Kind::InvalidConfiguration);
                if let Some(changed) = entry.id().parse().ok().and_then(|at: usize| changed.get_mut(at)) {
                    *changed = if lost { Changed::Lost } else { Changed::Unknown };
                }
            }
        }
        Err(error) => {
            tracing::debug!(error = %typed("extend", error), "visibility timeouts were not changed")
        }
    }
    changed
}

/// Gives back the messages that are still ours. A group becomes free with its first message, so that goes last. What cannot be given back
/// comes again when its time is over.
pub(crate) async fn give_back(client: &Client, url: &str, leases: Vec<(u64, Lease)>) {
    let mut groups: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    let now = Instant::now();
    for (number, lease) in leases.into_iter().filter(|(_, lease)| lease.until > now) {
        groups.entry(lease.group).or_default().push((number, lease.handle));
    }
    let mut lanes: Vec<Vec<(u64, String)>> = vec![Vec::new(); LANES];
    for (at, (_, messages)) in groups.into_iter().enumerate() {
        lanes[at % LANES].extend(messages);
    }
    let lanes = lanes.into_iter().map(|mut lane| async move {
        lane.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        for chunk in lane.chunks(BATCH) {
            let handles = chunk.iter().map(|(_, handle)| handle.clone()).collect();
            change(client, url, handles, Duration::ZERO).await;
        }
    });
    join_all(lanes).await;
}
