//! The services' places, and the topics of a run.

use anybroker::{Broker, DeadLetterPolicy, Group, GroupInfo, Kind, Result, Topic, Topology};

/// A service with the topic that it reads. Services have groups of their own: on Kafka a group spans topics, and
/// whoever joins it anywhere rebalances all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Payment,
    Inventory,
    Fulfilment,
    Office,
}

impl Place {
    pub(crate) const ALL: [Place; 4] = [Place::Payment, Place::Inventory, Place::Fulfilment, Place::Office];

    /// The service's name, which its group has too.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Place::Payment => "payment",
            Place::Inventory => "inventory",
            Place::Fulfilment => "fulfilment",
            Place::Office => "office",
        }
    }

    fn topic(self) -> &'static str {
        match self {
            Place::Payment => "payments",
            Place::Inventory => "stock",
            Place::Fulfilment => "replies",
            Place::Office => "orders",
        }
    }
}

/// The topics and groups of one run: its id is part of their names, so a restart finds them again.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    run: String,
}

impl Topics {
    pub(crate) fn of(run: &str) -> Self {
        Topics { run: run.to_owned() }
    }

    pub(crate) fn topic(&self, place: Place) -> Result<Topic> {
        Topic::new(format!("{}-{}", place.topic(), self.run))
    }

    pub(crate) fn group(&self, place: Place) -> Result<Group> {
        self.named_group(place.service())
    }

    fn named_group(&self, name: &str) -> Result<Group> {
        Group::new(format!("{name}-{}", self.run))
    }

    fn dead_letters(&self) -> Result<Topic> {
        Topic::new(format!("dead-orders-{}", self.run))
    }

    /// Only what no attempt can help goes there, on the handler's word: how often a message was cut off by a crash says
    /// nothing about the message.
    pub(crate) fn dead_letter_policy(&self) -> Result<DeadLetterPolicy> {
        Ok(DeadLetterPolicy { topic: self.dead_letters()?, max_attempts: None })
    }

    /// Every topic with the group that reads it.
    fn all(&self) -> Result<Vec<(Topic, Group)>> {
        let mut all = vec![(self.dead_letters()?, self.named_group("complaints")?)];
        for place in Place::ALL {
            all.push((self.topic(place)?, self.group(place)?));
        }
        Ok(all)
    }

    /// Creates what is not there; a declaration that was cut short is completed.
    pub(crate) async fn declare(&self, broker: &Broker) -> Result<()> {
        for (topic, group) in self.all()? {
            broker.admin().declare(&Topology::new(topic).group(group)).await?;
        }
        Ok(())
    }

    /// Whether the broker still has them: one that lives in this process's memory has lost them with it.
    pub(crate) async fn exist(&self, broker: &Broker) -> Result<bool> {
        for (topic, group) in self.all()? {
            match broker.admin().backlog(&topic, &group).await {
                Err(error) if error.kind() == Kind::NotFound => return Ok(false),
                backlog => backlog?,
            };
        }
        Ok(true)
    }

    /// How much waits for the services.
    pub(crate) async fn backlog(&self, broker: &Broker) -> Result<u64> {
        let mut all = 0;
        for place in Place::ALL {
            all += broker.admin().backlog(&self.topic(place)?, &self.group(place)?).await?;
        }
        Ok(all)
    }

    /// What waits for whom, for people who must find out why nothing happens.
    pub(crate) async fn standing(&self, broker: &Broker) -> Result<String> {
        let mut all = Vec::new();
        for place in Place::ALL {
            let (topic, name) = (self.topic(place)?, self.group(place)?);
            let groups = broker.admin().groups(&topic).await?;
            let found = groups.iter().find(|found| found.group == name.as_str());
            let told = found.map_or_else(|| "its group is gone".to_owned(), standing);
            all.push(format!("{}: {told}", place.service()));
        }
        Ok(all.join("; "))
    }

    pub(crate) async fn count_dead_letters(&self, broker: &Broker) -> Result<u64> {
        broker.admin().backlog(&self.dead_letters()?, &self.named_group("complaints")?).await
    }

    /// Deletes them; a deletion that was cut short is completed.
    pub(crate) async fn delete(&self, broker: &Broker) -> Result<()> {
        for (topic, _) in self.all()? {
            match broker.admin().delete(&topic).await {
                Err(error) if error.kind() == Kind::NotFound => {}
                deleted => deleted?,
            }
        }
        Ok(())
    }
}

fn standing(group: &GroupInfo) -> String {
    let members = group.members.map_or_else(|| "members unknown".to_owned(), |n| format!("{n} members"));
    let behind = group.partitions.iter().filter(|partition| partition.backlog > 0);
    let behind: Vec<_> = behind.map(|p| format!(", {} in partition {}", p.backlog, p.partition)).collect();
    format!("{members}, {} messages wait{}", group.backlog(), behind.concat())
}
