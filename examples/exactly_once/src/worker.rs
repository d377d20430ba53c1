//! A worker: takes lines, publishes how often each word is in them, and acknowledges them; all of it or nothing.

use std::future::pending;
use std::time::Duration;

use anybroker::worker::{Batches, BoxError, Context, Handling, Worker};
use anybroker::{
    Broker, Delivery, Kind, Message, PublisherExt, Result, Settlement, Settler, Topic, TransactionOptions,
    TransactionalId,
};

use crate::settings::Settings;
use crate::text::Counts;
use crate::topics::Topics;

/// The most lines that are counted together.
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
    let broker: Broker = anybroker::connect(&settings.url).await?;
    let mut handling = Handling::default().concurrency(2);
    if !settings.at_least_once {
        // The same after a restart: what its holder before left open is aborted, and whoever still believes to be it is fenced.
        let id = TransactionalId::new(format!("exactly-once-{}-{name}", settings.run))?;
        handling = handling.exactly_once(TransactionOptions::new(id));
    }
    let counts = topics.counts.clone();
    let count = tower::service_fn(move |lines| count(lines, counts.clone()));
    let worker = Worker::builder(broker)
        .handling(handling)
        .subscribe_batch(topics.work().prefetch(10 * BATCH), Batches::of(BATCH), count)
        .build()?;
    worker.run_until(pending()).await
}

/// Publishes a message for each word of the lines. Where they are handled exactly once, these are seen when the lines are
/// acknowledged, or never; otherwise a worker that is killed between the two counts twice.
async fn count(lines: Vec<Delivery>, to: Topic) -> Result<(), BoxError> {
    if let Some(context) = lines.first().and_then(Context::of) {
        let publisher = context.publishers().of(&to).await?;
        let failed = publisher.publish_batch(counted(&lines)).await.into_iter().filter_map(Result::err);
        let failed: Vec<_> = failed.map(|refused| refused.into_parts()).collect();
        // The lines come again; nothing of a word is in order with anything.
        failed.iter().filter_map(|(_, message)| message.key.as_ref()).for_each(|key| publisher.resume(key));
        if let Some((error, _)) = failed.into_iter().next() {
            return Err(error.into());
        }
    }
    Ok(())
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
