//! One connection through the proxy.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Conditions, Counted};

/// What is read at once, and how much of that may be on its way in one direction.
const CHUNK: usize = 16 << 10;
const ON_THE_WAY: usize = 256;

/// Forwards until both sides have ended, or one has failed, or all connections are cut. All but the first end with
/// a reset on both sides: nobody takes them for an orderly end.
pub(super) async fn forward(
    mut client: TcpStream,
    broker: SocketAddr,
    all: Arc<watch::Sender<Conditions>>,
    _counted: Counted,
) {
    let mut conditions = all.subscribe();
    let cuts = conditions.borrow().cuts;
    let mut server = None;
    let mut cut = conditions.clone();
    let ended = tokio::select! {
        biased;
        _ = cut.wait_for(|now| now.cuts != cuts) => None,
        ended = both_ways(&mut client, &mut server, broker, (&all, &mut conditions)) => Some(ended),
    };
    if !matches!(ended, Some(Ok(()))) {
        let sockets = [Some(&client), server.as_ref()];
        sockets.into_iter().flatten().for_each(|socket| _ = socket.set_zero_linger());
    }
}

async fn both_ways(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    broker: SocketAddr,
    (all, conditions): (&watch::Sender<Conditions>, &mut watch::Receiver<Conditions>),
) -> io::Result<()> {
    flowing(conditions).await?;
    let server = server.insert(TcpStream::connect(broker).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        one_way(from_client, to_server, (all, conditions), Side::Client),
        one_way(from_server, to_client, (all, conditions), Side::Broker),
    )?;
    Ok(())
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Broker,
}

/// Bytes on their way, and when they are due, if they are delayed.
type Chunk = (Option<Instant>, Bytes);

async fn one_way(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    (all, conditions): (&watch::Sender<Conditions>, &watch::Receiver<Conditions>),
    side: Side,
) -> io::Result<()> {
    let (sent, arriving) = mpsc::channel(ON_THE_WAY);
    let take = take(from, sent, (all, conditions.clone()), side);
    tokio::try_join!(take, give(arriving, to, conditions.clone()))?;
    Ok(())
}

async fn take(
    mut from: ReadHalf<'_>,
    sent: mpsc::Sender<Chunk>,
    (all, mut conditions): (&watch::Sender<Conditions>, watch::Receiver<Conditions>),
    side: Side,
) -> io::Result<()> {
    let mut dropped = false;
    loop {
        flowing(&mut conditions).await?;
        let mut chunk = BytesMut::with_capacity(CHUNK);
        if from.read_buf(&mut chunk).await? == 0 {
            return Ok(());
        }
        if side == Side::Client && conditions.borrow().drops_when.is_some_and(|is_it| is_it(&chunk)) {
            all.send_modify(|conditions| (conditions.replies_dropped, conditions.drops_when) = (true, None));
        }
        // For good: nothing can follow what is missing.
        dropped |= side == Side::Broker && conditions.borrow().replies_dropped;
        if dropped {
            continue;
        }
        let delay = conditions.borrow().delay;
        let due = (delay > Duration::ZERO).then(|| Instant::now() + delay);
        sent.send((due, chunk.freeze())).await.map_err(io::Error::other)?;
    }
}

async fn give(
    mut arriving: mpsc::Receiver<Chunk>,
    mut to: WriteHalf<'_>,
    mut conditions: watch::Receiver<Conditions>,
) -> io::Result<()> {
    while let Some((due, chunk)) = arriving.recv().await {
        if let Some(due) = due {
            sleep_until(due).await;
        }
        flowing(&mut conditions).await?;
        to.write_all(&chunk).await?;
    }
    flowing(&mut conditions).await?;
    to.shutdown().await
}

/// Waits while everything is stalled.
async fn flowing(conditions: &mut watch::Receiver<Conditions>) -> io::Result<()> {
    conditions.wait_for(|now| !now.stalled).await.map(drop).map_err(io::Error::other)
}
