//! Requests side by side, and those of one key one after the other: each key goes by one of the lanes, and a lane has one request
//! under way.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::Result;
use crate::contender::Publish;
use crate::task::{Item, Load};

/// The most that wait for a confirmation: what anybroker's publisher has by default.
const WINDOW: u32 = 10_000;

/// A request.
#[async_trait]
pub(in crate::contenders) trait Sending: Send + Sync + 'static {
    /// Sends these messages; returns when each is confirmed.
    async fn send(&self, items: Vec<Item>) -> Result<()>;
}

pub(in crate::contenders) struct Lanes {
    lanes: Vec<UnboundedSender<Passed>>,
    by_key: HashMap<Bytes, usize>,
    room: Arc<Semaphore>,
    running: JoinSet<Result<()>>,
}

/// A message with its place in the window, which is free again when it is confirmed.
struct Passed(Item, OwnedSemaphorePermit);

impl Lanes {
    /// So many lanes, whose requests have at most so many messages.
    pub(in crate::contenders) fn new(sender: impl Sending, lanes: usize, most: usize) -> Self {
        let (sender, mut running) = (Arc::new(sender), JoinSet::new());
        let room = Arc::new(Semaphore::new(WINDOW as usize));
        let lane = |_| {
            let (lane, passed) = mpsc::unbounded_channel();
            running.spawn(serve(sender.clone(), passed, room.clone(), most));
            lane
        };
        let lanes = (0..lanes).map(lane).collect();
        Lanes { lanes, by_key: HashMap::new(), room, running }
    }

    async fn add(&mut self, item: Item) -> Result<()> {
        let Ok(place) = self.room.clone().acquire_owned().await else { return self.failure().await };
        let next = self.by_key.len() % self.lanes.len();
        let lane = *self.by_key.entry(item.key.clone()).or_insert(next);
        self.lanes[lane].send(Passed(item, place)).map_err(|_| "the lane has ended".into())
    }

    /// Why there is no room any more.
    async fn failure(&mut self) -> Result<()> {
        match self.running.join_next().await {
            Some(ended) => ended?,
            None => Err("the lanes have ended".into()),
        }
    }
}

async fn serve(
    sender: Arc<impl Sending>,
    mut passed: UnboundedReceiver<Passed>,
    room: Arc<Semaphore>,
    most: usize,
) -> Result<()> {
    let mut batch = Vec::with_capacity(most);
    while passed.recv_many(&mut batch, most).await > 0 {
        let (items, places): (Vec<_>, Vec<_>) =
            mem::take(&mut batch).into_iter().map(|it| (it.0, it.1)).unzip();
        if let Err(error) = sender.send(items).await {
            room.close();
            return Err(error);
        }
        drop(places);
    }
    Ok(())
}

#[async_trait]
impl Publish for Lanes {
    async fn publish(&mut self, load: &Load, count: u64) -> Result<()> {
        for number in 0..count {
            self.add(load.item(number)).await?;
        }
        self.confirmed().await
    }

    async fn pass(&mut self, due: Vec<Item>) -> Result<()> {
        for item in due {
            self.add(item).await?;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<()> {
        let confirmed = self.room.acquire_many(WINDOW).await.is_ok();
        if confirmed { Ok(()) } else { self.failure().await }
    }
}
