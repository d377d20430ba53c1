//! The queue whose consumers are a group's members, and what the others' queues show.

use std::collections::BTreeMap;
use std::time::Duration;

use anybroker_core::Result;
use anybroker_core::kit::within;
use lapin::Channel;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;

use crate::connect::Live;
use crate::error::typed;
use crate::names::Layout;
use crate::sharing::{Held, candidates, chance, share};
use crate::wire::look;

/// A member's entry, on a channel of its own.
#[derive(Clone)]
pub(crate) struct Census {
    channel: Channel,
    deadline: Duration,
    queue: String,
    /// Being in it is all that it is for.
    _member: lapin::Consumer,
}

/// What the server showed a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// How many partitions a member has at most.
    pub(crate) share: usize,
    /// Consumers by partition: of those that are in doubt, and of those that might be taken.
    pub(crate) consumers: BTreeMap<u32, u32>,
}

impl Census {
    pub(crate) async fn join(live: &Live, queue: String) -> Result<Self> {
        let channel = live.channel("receive").await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let member = within(live.deadline, "receive", async {
            let consumer = channel.basic_consume(queue.as_str().into(), "".into(), options, none).await;
            consumer.map_err(|e| typed("receive", e))
        })
        .await?;
        Ok(Census { channel, deadline: live.deadline, queue, _member: member })
    }

    /// Looks at the members and at as many partitions as are needed.
    pub(crate) async fn view(
        self,
        layout: Layout,
        partitions: u32,
        held: Vec<Held>,
        doubtful: Vec<u32>,
    ) -> Result<View> {
        let share = share(partitions, self.consumers(&self.queue).await?);
        let mut consumers = BTreeMap::new();
        for partition in doubtful {
            consumers.insert(partition, self.consumers(&layout.queue(partition)).await?);
        }
        let mut wanted = share.saturating_sub(held.len());
        for partition in candidates(partitions, &held, chance()) {
            if wanted == 0 {
                break;
            }
            let seen = self.consumers(&layout.queue(partition)).await?;
            consumers.insert(partition, seen);
            wanted -= usize::from(seen == 0);
        }
        Ok(View { share, consumers })
    }

    async fn consumers(&self, queue: &str) -> Result<u32> {
        within(self.deadline, "receive", async {
            look(&self.channel, queue).await.map(|seen| seen.consumers).map_err(|e| typed("receive", e))
        })
        .await
    }
}
