//! A TCP proxy in front of a broker, whose connections tests cut, stall, delay and make deaf to the broker's answers.
//!
//! It knows nothing of what flows through it. A broker that tells its clients where to connect must advertise the
//! proxy's address to those that come through it: [`Proxied`](crate::brokers::Proxied) says where that is.

mod connection;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::Instant,
};

/// A proxy that forwards every connection to one address, until it is dropped: then all of them end.
///
/// It works in its own tasks, and what is done to its connections takes effect at once on all of them.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    conditions: Arc<watch::Sender<Conditions>>,
    open: Open,
    accepting: JoinHandle<()>,
}

/// How many connections are open.
type Open = Arc<watch::Sender<usize>>;

/// How the proxy treats what flows through it.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    stalled: bool,
    replies_dropped: bool,
    /// From when a client sends this on, replies are dropped.
    drops_when: Option<fn(&[u8]) -> bool>,
    delay: Duration,
    /// How often everything has been cut: a connection ends when this is no longer what it was when it began.
    cuts: u64,
}

impl Proxy {
    /// Listens on this port of the loopback, or on a free one if it is 0, and forwards to `broker`.
    ///
    /// # Errors
    /// The port is taken.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn listen(port: u16, broker: SocketAddr) -> io::Result<Self> {
        let listener = bind(port).await?;
        let address = listener.local_addr()?;
        let conditions = Arc::new(watch::Sender::new(Conditions::default()));
        let open = Open::default();
        let accepting = tokio::spawn(accept(listener, broker, Arc::clone(&conditions), Arc::clone(&open)));
        Ok(Self { address, conditions, open, accepting })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        *self.open.borrow()
    }

    /// Waits until a connection is open.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn connected(&self) {
        // The sender lives as long as the proxy does.
        let _ = self.open.subscribe().wait_for(|open| *open > 0).await;
    }

    /// Resets every connection, on both sides; says how many there were. New ones are accepted at once, and hear the
    /// broker's answers.
    pub fn cut(&self) -> usize {
        let open = self.connections();
        self.conditions.send_modify(|conditions| {
            conditions.cuts += 1;
            conditions.replies_dropped = false;
            conditions.drops_when = None;
        });
        open
    }

    /// Forwards what clients send, and throws away what the broker answers, until everything is [cut](Self::cut): what
    /// clients ask for is done, and they never hear of it. New connections hear nothing either.
    pub fn drop_replies(&self) {
        self.conditions.send_modify(|conditions| conditions.replies_dropped = true);
    }

    /// The same from the moment at which a client sends what `is_it` knows, which is given as many bytes as came at once.
    pub fn drop_replies_when(&self, is_it: fn(&[u8]) -> bool) {
        self.conditions.send_modify(|conditions| conditions.drops_when = Some(is_it));
    }

    /// Waits until replies are dropped.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn replies_dropped(&self) {
        // The sender lives as long as the proxy does.
        let _ = self.conditions.subscribe().wait_for(|conditions| conditions.replies_dropped).await;
    }

    /// Forwards nothing more in either direction, and keeps every socket open: the other side is silent, not gone.
    /// New connections are accepted and as silent.
    pub fn stall(&self) {
        self.conditions.send_modify(|conditions| conditions.stalled = true);
    }

    /// Forwards again, beginning with what came meanwhile.
    pub fn resume(&self) {
        self.conditions.send_modify(|conditions| conditions.stalled = false);
    }

    /// Forwards everything that comes from now on this much later, in both directions and without slowing it down.
    pub fn delay(&self, delay: Duration) {
        self.conditions.send_modify(|conditions| conditions.delay = delay);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// How long to wait after a connection could not be accepted, for want of descriptors for instance, or a port is not free.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a proxy that was dropped may take to let go of its port: its task ends at its next turn.
const LET_GO: Duration = Duration::from_secs(2);

async fn bind(port: u16) -> io::Result<TcpListener> {
    let until = Instant::now() + LET_GO;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                tokio::time::sleep(PAUSE).await;
            }
            bound => return bound,
        }
    }
}

async fn accept(
    listener: TcpListener,
    broker: SocketAddr,
    conditions: Arc<watch::Sender<Conditions>>,
    open: Open,
) {
    // The connections end with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let counted = Counted::new(&open);
                    connections.spawn(connection::forward(client, broker, Arc::clone(&conditions), counted));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection for as long as it is open.
#[derive(Debug)]
struct Counted(Open);

impl Counted {
    fn new(open: &Open) -> Self {
        open.send_modify(|open| *open += 1);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests;
