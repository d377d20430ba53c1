//! A worker: takes lines, publishes how often each word is in them, and acknowledges them; all of it or nothing.

use std::time::Duration;

use anybroker::{
    Broker, Delivery, Fate, Kind, Message, PublisherExt, PublisherOptions, Result, Settlement, Settler,
    TransactionOptions, TransactionalId, TransactionalPublisher,
};

use crate::settings::Settings;
use crate::text::Counts;
use crate::topics::Topics;

/// The most lines of a transaction.
const BATCH: usize = 200;
/// How long to wait before everything is opened again.
const AGAIN: Duration = Duration::from_millis(200);

/// Works until it is killed. What fails in a way that may pass is opened again.
///
/// # Errors
/// What does not pass: the broker has no transactions (`Unsupported`), or refuses what is asked.
pub(crate) async fn work(settings: &Settings, name: &str) -> Result<()> {
    let topics = Topics::of(settings)?;
    loop {
        let error = match once(settings, &topics, name).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if matches!(error.kind(), Kind::Unsupported | Kind::InvalidConfiguration | Kind::PermissionDenied) {
            return Err(error);
        }
        eprintln!("{name}: {error}; everything is opened again");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn once(settings: &Settings, topics: &Topics, name: &str) -> Result<()> {
    let broker = anybroker::connect(&settings.url).await?;
    if settings.at_least_once {
        return at_least_once(&broker, topics).await;
    }
    // The same after a restart: what its holder before left open is aborted, and whoever still believes to be it is fenced.
    let id = TransactionalId::new(format!("exactly-once-{}-{name}", settings.run))?;
    let mut publisher = broker.transactional_publisher(TransactionOptions::new(id)).await?;
    let mut consumer = broker.consumer(topics.work().prefetch(BATCH)).await?;
    loop {
        let batch = consumer.receive(BATCH).await?;
        match in_a_transaction(publisher.as_mut(), topics, batch).await {
            Err(error) if error.fate() == Fate::NotApplied && error.kind() != Kind::Closed => {
                eprintln!("{name}: {error}; the lines come again");
            }
            ended => ended?,
        }
    }
}

async fn in_a_transaction(
    publisher: &mut dyn TransactionalPublisher,
    topics: &Topics,
    batch: Vec<Delivery>,
) -> Result<()> {
    let transaction = publisher.begin().await?;
    transaction.publish(&topics.counts, counted(&batch)).await?;
    transaction.settle(batch).await?;
    transaction.commit().await
}

/// The same without a transaction. Killed between the two, its batch counts twice.
async fn at_least_once(broker: &Broker, topics: &Topics) -> Result<()> {
    let publisher = broker.publisher(PublisherOptions::new(topics.counts.clone())).await?;
    let mut consumer = broker.consumer(topics.work().prefetch(BATCH)).await?;
    loop {
        let batch = consumer.receive(BATCH).await?;
        for outcome in publisher.publish_batch(counted(&batch)).await {
            outcome.map_err(|error| error.into_parts().0)?;
        }
        acknowledge(&*consumer.settler(), batch).await?;
    }
}

pub(crate) async fn acknowledge(settler: &dyn Settler, batch: Vec<Delivery>) -> Result<()> {
    for settled in settler.settle(batch.into_iter().map(Settlement::ack).collect()).await {
        settled?;
    }
    Ok(())
}

/// A message for each word of the batch.
fn counted(batch: &[Delivery]) -> Vec<Message> {
    let mut counts = Counts::default();
    batch.iter().for_each(|line| counts.add_line(&String::from_utf8_lossy(line.payload())));
    counts.iter().map(|(word, count)| Message::new(count.to_string()).with_key(word.to_owned())).collect()
}
