//! The proxy between a client and a server that echoes.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::*;

/// Long enough for anything that is going to happen.
const SOON: Duration = Duration::from_secs(20);
/// Long enough to notice what must not happen.
const SILENCE: Duration = Duration::from_millis(200);

/// A proxy in front of a server that sends back what it gets.
async fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                _ = tokio::io::copy(&mut from, &mut to).await;
                _ = to.shutdown().await;
            });
        }
    });
    Proxy::listen(0, address).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn round_trip(socket: &mut TcpStream) {
    socket.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    timeout(SOON, socket.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"hello");
}

#[tokio::test]
async fn everything_comes_through_and_an_orderly_end_stays_one() {
    let proxy = echo().await;
    let socket = connect(&proxy).await;
    let (mut from, mut to) = socket.into_split();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|at| at as u8).collect();
    let expected = sent.clone();
    let sending = tokio::spawn(async move {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut came = Vec::new();
    timeout(SOON, from.read_to_end(&mut came)).await.unwrap().unwrap();
    sending.await.unwrap();
    assert!(came == expected, "{} bytes of {} came", came.len(), expected.len());
}

#[tokio::test]
async fn a_cut_resets_what_is_open_and_nothing_later() {
    let proxy = echo().await;
    let (mut one, mut other) = (connect(&proxy).await, connect(&proxy).await);
    round_trip(&mut one).await;
    round_trip(&mut other).await;
    assert_eq!(proxy.connections(), 2);
    assert_eq!(proxy.cut(), 2);
    for socket in [&mut one, &mut other] {
        let error = timeout(SOON, socket.read(&mut [0])).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    round_trip(&mut connect(&proxy).await).await;
}

#[tokio::test]
async fn what_is_stalled_is_silent_and_open_and_goes_on() {
    let proxy = echo().await;
    let mut before = connect(&proxy).await;
    round_trip(&mut before).await;
    proxy.stall();
    let mut during = connect(&proxy).await;
    for socket in [&mut before, &mut during] {
        socket.write_all(b"hello").await.unwrap();
        timeout(SILENCE, socket.read(&mut [0])).await.expect_err("something came through a stalled proxy");
    }
    proxy.resume();
    for socket in [&mut before, &mut during] {
        let mut answer = [0; 5];
        timeout(SOON, socket.read_exact(&mut answer)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_is_stalled_can_be_cut() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;
    round_trip(&mut socket).await;
    proxy.stall();
    proxy.cut();
    timeout(SOON, socket.read(&mut [0])).await.unwrap().unwrap_err();
}

/// A proxy in front of a server that tells what it gets, and says so.
async fn told() -> (Proxy, tokio::sync::mpsc::UnboundedReceiver<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Ok(byte) = socket.read_u8().await {
                    _ = tell.send(byte);
                    _ = socket.write_u8(byte).await;
                }
            });
        }
    });
    (Proxy::listen(0, address).await.unwrap(), told)
}

#[tokio::test]
async fn dropped_replies_leave_the_client_deaf_and_the_broker_told() {
    let (proxy, mut told) = told().await;
    let mut before = connect(&proxy).await;
    before.write_u8(1).await.unwrap();
    assert_eq!(timeout(SOON, before.read_u8()).await.unwrap().unwrap(), 1);
    assert_eq!(told.recv().await, Some(1));
    proxy.drop_replies();
    let mut during = connect(&proxy).await;
    for (byte, socket) in [(2, &mut before), (3, &mut during)] {
        socket.write_u8(byte).await.unwrap();
        assert_eq!(timeout(SOON, told.recv()).await.unwrap(), Some(byte));
        timeout(SILENCE, socket.read_u8()).await.expect_err("the client heard an answer");
    }
    assert_eq!(proxy.cut(), 2);
    for socket in [&mut before, &mut during] {
        let error = timeout(SOON, socket.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    let mut after = connect(&proxy).await;
    after.write_u8(4).await.unwrap();
    assert_eq!(timeout(SOON, after.read_u8()).await.unwrap().unwrap(), 4);
}

#[tokio::test]
async fn a_delay_counts_once_each_way_and_not_for_every_chunk() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;
    round_trip(&mut socket).await;
    proxy.delay(Duration::from_millis(100));
    let began = Instant::now();
    for _ in 0..50 {
        socket.write_all(&[0; 1_000]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    timeout(SOON, socket.read_exact(&mut [0; 50_000])).await.unwrap().unwrap();
    let took = began.elapsed();
    // Fifty chunks one after the other would take five seconds each way.
    assert!((Duration::from_millis(200)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_a_reset() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::listen(0, gone).await.unwrap();
    let mut socket = connect(&proxy).await;
    let ended = timeout(SOON, socket.read(&mut [0])).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn dropping_it_ends_its_connections_and_frees_its_port() {
    let proxy = echo().await;
    let address = proxy.address();
    let mut socket = connect(&proxy).await;
    round_trip(&mut socket).await;
    drop(proxy);
    // At once: its task has had no turn to end in.
    Proxy::listen(address.port(), address).await.unwrap();
    let ended = timeout(SOON, socket.read(&mut [0])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}
