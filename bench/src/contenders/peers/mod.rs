//! Other libraries over several brokers, each in the way that its own documentation says is the fastest.

mod background;
mod batches;
pub(super) mod core_nats;
pub(super) mod kafka;
pub(super) mod nats;
pub(super) mod rabbitmq;
pub(super) mod sqs;
mod window;

use crate::task::Task;

/// The URL without what is anybroker's.
fn plain(task: &Task) -> String {
    task.url.split('?').next().unwrap_or_default().to_owned()
}
