//! Single requests to the server, each on a channel of its own: a refusal closes the channel that it came on.

use anybroker_core::kit::within;
use anybroker_core::{Error, Result};
use futures::future::try_join_all;
use lapin::options::{
    BasicGetOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use crate::connect::Live;
use crate::error::{NOT_FOUND, RESOURCE_LOCKED, code, typed};

/// What a passive declaration of a queue tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Messages ready for delivery; those in consumers' hands are not counted.
    pub(crate) ready: u32,
    /// Consumers; of a quorum queue with a single active consumer, only that one.
    pub(crate) consumers: u32,
}

/// Requests for `operation`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a> {
    pub(crate) live: &'a Live,
    pub(crate) operation: &'static str,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(live: &'a Live, operation: &'static str) -> Self {
        Wire { live, operation }
    }

    /// Runs one request on a new channel.
    async fn on_channel<T>(
        &self,
        request: impl AsyncFnOnce(&Channel) -> lapin::Result<T>,
    ) -> Result<Reply<T>> {
        let channel = self.live.asking.channel(self.operation).await?;
        within(self.live.deadline, self.operation, async {
            let reply = request(&channel).await;
            if reply.is_ok() {
                // Nothing is left to do on it, and a broken connection shows by itself.
                let _ = channel.close(200, ShortString::default()).await;
            }
            Ok(reply)
        })
        .await
        .inspect_err(|_| self.live.asking.renew())
    }

    async fn request<T>(&self, request: impl AsyncFnOnce(&Channel) -> lapin::Result<T>) -> Result<T> {
        self.on_channel(request).await?.map_err(|e| self.refused(e))
    }

    /// As `request`, but what does not exist is none.
    async fn find<T>(&self, request: impl AsyncFnOnce(&Channel) -> lapin::Result<T>) -> Result<Option<T>> {
        match self.on_channel(request).await? {
            Ok(found) => Ok(Some(found)),
            Err(error) if code(&error) == NOT_FOUND => Ok(None),
            Err(error) => Err(self.refused(error)),
        }
    }

    fn refused(&self, error: lapin::Error) -> Error {
        typed(self.operation, error)
    }

    pub(crate) async fn exchange_exists(&self, name: &str) -> Result<bool> {
        let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let declare = async |c: &Channel| {
            c.exchange_declare(name.into(), ExchangeKind::Fanout, passive, FieldTable::default()).await
        };
        Ok(self.find(declare).await?.is_some())
    }

    pub(crate) async fn declare_exchange(
        &self,
        name: &str,
        kind: ExchangeKind,
        arguments: FieldTable,
    ) -> Result<()> {
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        self.request(async |c| c.exchange_declare(name.into(), kind, durable, arguments).await).await
    }

    pub(crate) async fn look(&self, queue: &str) -> Result<Option<Seen>> {
        self.find(async |channel| look(channel, queue).await).await
    }

    /// Whether nobody has the exclusive queue of this name.
    pub(crate) async fn is_free(&self, queue: &str) -> Result<bool> {
        match self.on_channel(async |channel| look(channel, queue).await).await? {
            Ok(_) => Ok(false),
            Err(error) => match code(&error) {
                NOT_FOUND => Ok(true),
                RESOURCE_LOCKED => Ok(false),
                _ => Err(self.refused(error)),
            },
        }
    }

    /// Declares a queue; the reply to a difference is the caller's to explain.
    pub(crate) async fn declare_queue(&self, name: &str, arguments: FieldTable) -> Result<Reply<()>> {
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        self.on_channel(async |c| c.queue_declare(name.into(), durable, arguments).await.map(|_| ())).await
    }

    /// Binds a queue by many keys at once.
    pub(crate) async fn bind_queue(
        &self,
        queue: &str,
        exchange: &str,
        keys: impl IntoIterator<Item = String>,
    ) -> Result<()> {
        self.request(async |channel| {
            let bind = |key: String| {
                let options = QueueBindOptions::default();
                channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default())
            };
            try_join_all(keys.into_iter().map(bind)).await.map(|_| ())
        })
        .await
    }

    pub(crate) async fn bind_exchange(&self, destination: &str, source: &str) -> Result<()> {
        let (options, none) = (Default::default(), FieldTable::default());
        self.request(async |c| {
            c.exchange_bind(destination.into(), source.into(), ShortString::default(), options, none).await
        })
        .await
    }

    /// Takes a binding to the exchange away that is not there, which needs the permission to write to it and, after
    /// that, to read the other end, and changes nothing. The reply to a refusal is the caller's to explain.
    pub(crate) async fn unbind_nothing(&self, exchange: &str) -> Result<Reply<()>> {
        let (options, none) = (Default::default(), FieldTable::default());
        // The other end is an exchange that every virtual host has.
        let (source, key) = ("amq.fanout".into(), "anybroker-no-such-binding".into());
        self.on_channel(async |c| c.exchange_unbind(exchange.into(), source, key, options, none).await).await
    }

    /// Gets a message from a queue with a single active consumer: the server looks at the permission to read it, and
    /// then refuses, because such a queue has no `basic.get`. The reply is the caller's to explain.
    pub(crate) async fn get_nothing(&self, queue: &str) -> Result<Reply<()>> {
        let options = BasicGetOptions::default();
        self.on_channel(async |c| c.basic_get(queue.into(), options).await.map(|_| ())).await
    }

    pub(crate) async fn delete_exchange(&self, name: &str) -> Result<()> {
        let options = ExchangeDeleteOptions::default();
        self.request(async |c| c.exchange_delete(name.into(), options).await).await
    }

    pub(crate) async fn delete_queue(&self, name: &str) -> Result<()> {
        let options = QueueDeleteOptions::default();
        self.request(async |c| c.queue_delete(name.into(), options).await.map(|_| ())).await
    }

    pub(crate) async fn purge_queue(&self, name: &str) -> Result<()> {
        let options = QueuePurgeOptions::default();
        self.request(async |c| c.queue_purge(name.into(), options).await.map(|_| ())).await
    }
}

/// The server's answer.
pub(crate) type Reply<T> = lapin::Result<T>;

/// Looks at a queue on a channel that is known to be good for it: the queue exists.
pub(crate) async fn look(channel: &Channel, queue: &str) -> lapin::Result<Seen> {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let found = channel.queue_declare(queue.into(), passive, FieldTable::default()).await?;
    Ok(Seen { ready: found.message_count(), consumers: found.consumer_count() })
}
