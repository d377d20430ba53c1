//! Several topics at once in one process: a publisher or a consumer for each, and the messages shared out.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::handler::Handler;
use crate::Result;
use crate::contender::{Consume, OpenConsume, OpenPublish, Publish};
use crate::task::{Item, Load, Task};

/// So many are declared, filled, opened or deleted at once.
pub(super) const AT_ONCE: usize = 16;

/// Opens a publisher for each topic of the task.
pub(super) async fn publisher(open: OpenPublish, task: &Arc<Task>) -> Result<Box<dyn Publish>> {
    if task.subscriptions <= 1 {
        return open(task.clone()).await;
    }
    let each = stream::iter(task.each()).map(|task| open(Arc::new(task)));
    Ok(Box::new(Publishers(each.buffered(AT_ONCE).try_collect().await?)))
}

/// Opens a consumer for each topic of the task.
pub(super) async fn consumer(open: OpenConsume, task: &Arc<Task>) -> Result<Box<dyn Consume>> {
    if task.subscriptions <= 1 {
        return open(task.clone()).await;
    }
    let each = stream::iter(task.each()).map(|task| open(Arc::new(task)));
    Ok(Box::new(Consumers(each.buffered(AT_ONCE).try_collect().await?)))
}

/// The share of each: equal, and the first ones take what is left over.
fn shares(count: u64, among: usize) -> impl Iterator<Item = u64> {
    let among = among as u64;
    (0..among).map(move |index| count / among + u64::from(index < count % among))
}

struct Publishers(Vec<Box<dyn Publish>>);

#[async_trait]
impl Publish for Publishers {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        let shares = shares(count, self.0.len());
        try_join_all(self.0.iter_mut().zip(shares).map(|(one, share)| one.publish(load, share))).await?;
        Ok(())
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        let size = due.len().div_ceil(self.0.len()).max(1);
        let portions = due.chunks(size).map(<[Item]>::to_vec);
        try_join_all(self.0.iter_mut().zip(portions).map(|(one, portion)| one.pass(portion))).await?;
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        try_join_all(self.0.iter_mut().map(|one| one.confirmed())).await?;
        Ok(())
    }
}

struct Consumers(Vec<Box<dyn Consume>>);

#[async_trait]
impl Consume for Consumers {
    async fn consume(&mut self, count: u64, handler: &Arc<Handler>) -> Result<()> {
        let shares = shares(count, self.0.len());
        try_join_all(self.0.iter_mut().zip(shares).map(|(one, share)| one.consume(share, handler))).await?;
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        try_join_all(self.0.into_iter().map(|one| one.close())).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn shares_differ_by_one_at_most_and_add_up() {
        assert_eq!(shares(10, 4).collect::<Vec<_>>(), [3, 3, 2, 2]);
        assert_eq!(shares(2, 3).collect::<Vec<_>>(), [1, 1, 0]);
    }
}
