//! Reads dead letters, and holds them.

use anybroker::Broker;
use anybroker::dead_letter::{Letters, Queue};

use super::Which;
use super::choice::Choice;
use crate::connect::within;
use crate::failure::Failure;
use crate::output;
use crate::progress;
use anybroker::worker::Signals;

/// Joins the group.
pub(super) async fn open(broker: &Broker, which: &Which) -> Result<Letters, Failure> {
    let queue = Queue::new(broker.clone(), which.topic.clone(), which.group.clone());
    let queue = queue.max(which.max.into()).idle(which.idle);
    Ok(within("look at dead letters", queue.open()).await?)
}

/// Reads until there are enough, those looked for have come, nothing comes any more, or a signal comes; says whether it was
/// that.
pub(super) async fn read(
    letters: &mut Letters,
    which: &Which,
    choice: &Choice,
    signals: &mut Signals,
) -> Result<bool, Failure> {
    let bar = progress::waiting(format!("reading {}", which.topic));
    let interrupted = tokio::select! {
        read = letters.read(|letters| choice.is_found(letters)) => read.map(|()| false),
        () = signals.next() => Ok(true),
    };
    bar.finish_and_clear();
    if interrupted.is_ok() && letters.is_full() {
        output::note(&format!("there may be more: these were the first {}; see --max", letters.seen()));
    }
    match within("backlog", async { Ok(letters.waiting().await) }).await {
        Ok(waiting) if waiting > 0 && !choice.is_found(letters) => output::note(&format!(
            "about {waiting} more wait behind these: the broker hands out the later ones of a key when earlier ones are settled"
        )),
        _ => {}
    }
    Ok(interrupted?)
}
