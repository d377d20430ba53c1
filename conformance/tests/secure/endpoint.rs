//! An encrypted way to a server that has none of its own. It remembers what clients say, for tests to look at.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use crate::impostor::Identity;

/// No test says more.
const MOST: usize = 1 << 20;

/// Listens with TLS, forwards without.
pub(crate) struct Endpoint {
    pub(crate) port: u16,
    said: Arc<Mutex<Vec<u8>>>,
    accepting: JoinHandle<()>,
}

impl Endpoint {
    /// `greeting` is what the server says before it encrypts, if anything.
    pub(crate) async fn open(identity: &Identity, server: u16, greeting: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = acceptor(identity);
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = said.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, heard) = (acceptor.clone(), heard.clone());
                // A client that hangs up ends its connection and nothing else.
                tokio::spawn(async move { drop(forward(acceptor, socket, server, greeting, heard).await) });
            }
        });
        Endpoint { port, said, accepting }
    }

    /// Whether a client has said this.
    pub(crate) fn heard(&self, text: &str) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.windows(text.len()).any(|part| part == text.as_bytes())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn acceptor(identity: &Identity) -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain(), identity.key())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn forward(
    acceptor: TlsAcceptor,
    mut socket: TcpStream,
    server: u16,
    greeting: &str,
    heard: Arc<Mutex<Vec<u8>>>,
) -> std::io::Result<()> {
    socket.write_all(greeting.as_bytes()).await?;
    let client = acceptor.accept(socket).await?;
    let server = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, server))).await?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (tokio::io::split(client), server.into_split());
    let back = async move { tokio::io::copy(&mut from_server, &mut to_client).await };
    let there = async move {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return to_server.shutdown().await;
            }
            to_server.write_all(&buffer[..read]).await?;
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            if heard.len() < MOST {
                heard.extend(&buffer[..read]);
            }
        }
    };
    tokio::try_join!(there, async { back.await.map(drop) }).map(drop)
}
