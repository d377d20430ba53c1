//! The queue whose consumers are a group's members, and what the others' queues show.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::Result;
use anybroker_core::kit::within;

use crate::connect::Live;
use crate::consuming::Consuming;
use crate::error::typed;
use crate::names::Layout;
use crate::sharing::{Held, candidates, chance, share};
use crate::wire::look;

/// A member's entry, on a channel of its own.
#[derive(Clone)]
pub(crate) struct Census {
    deadline: Duration,
    queue: String,
    /// Being in the queue is all that it is for.
    member: Arc<Consuming>,
}

/// What the server showed a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// How many partitions a member has at most.
    pub(crate) share: usize,
    /// Partitions that nobody consumes from, as many as we might take.
    pub(crate) free: BTreeSet<u32>,
}

impl Census {
    pub(crate) async fn join(live: &Live, queue: String) -> Result<Self> {
        let channel = live.channel("receive").await?;
        let member = within(live.deadline, "receive", async {
            Consuming::begin(channel, &queue).await.map_err(|e| typed("receive", e))
        })
        .await?;
        Ok(Census { deadline: live.deadline, queue, member: Arc::new(member) })
    }

    /// Looks at the members and at as many partitions as are needed.
    pub(crate) async fn view(self, layout: Layout, partitions: u32, held: Vec<Held>) -> Result<View> {
        let share = share(partitions, self.consumers(&self.queue).await?);
        let wanted = share.saturating_sub(held.len());
        let mut free = BTreeSet::new();
        for partition in candidates(partitions, &held, chance()) {
            if free.len() == wanted {
                break;
            }
            if self.consumers(&layout.queue(partition)).await? == 0 {
                free.insert(partition);
            }
        }
        Ok(View { share, free })
    }

    async fn consumers(&self, queue: &str) -> Result<u32> {
        within(self.deadline, "receive", async {
            look(&self.member.channel, queue)
                .await
                .map(|seen| seen.consumers)
                .map_err(|e| typed("receive", e))
        })
        .await
    }
}
