//! The topics of a run.

use anybroker::{Broker, Group, Result, Subscription, Topic, Topology};

use crate::settings::Settings;

const PARTITIONS: u32 = 6;

/// What is read and what is written.
pub(crate) struct Topics {
    pub(crate) lines: Topic,
    pub(crate) counts: Topic,
    workers: Group,
    report: Group,
}

impl Topics {
    pub(crate) fn of(settings: &Settings) -> Result<Self> {
        let run = settings.run;
        Ok(Topics {
            lines: Topic::new(format!("exactly-once-{run}-lines"))?,
            counts: Topic::new(format!("exactly-once-{run}-counts"))?,
            workers: Group::new(format!("exactly-once-{run}-workers"))?,
            report: Group::new(format!("exactly-once-{run}-report"))?,
        })
    }

    pub(crate) async fn declare(&self, broker: &Broker) -> Result<()> {
        let of = |topic: &Topic, group: &Group| {
            Topology::new(topic.clone()).group(group.clone()).partitions(PARTITIONS)
        };
        broker.admin().declare(&of(&self.lines, &self.workers)).await?;
        broker.admin().declare(&of(&self.counts, &self.report)).await
    }

    pub(crate) async fn delete(&self, broker: &Broker) -> Result<()> {
        broker.admin().delete(&self.lines).await?;
        broker.admin().delete(&self.counts).await
    }

    /// What a worker reads.
    pub(crate) fn work(&self) -> Subscription {
        Subscription::new(self.lines.clone(), self.workers.clone())
    }

    /// What is added up.
    pub(crate) fn report(&self) -> Subscription {
        Subscription::new(self.counts.clone(), self.report.clone())
    }
}
