//! A server of Kafka's protocol that has no brokers on demand.

use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const METADATA: u16 = 3;
const API_VERSIONS: u16 = 18;

/// Many, since librdkafka forgets the brokers for good only where reading the rest of the answer takes it a while.
const PARTITIONS: u32 = 10_000;

/// A server that speaks as much of Kafka's protocol as asking for a topic takes, and says on demand that there are no brokers: as
/// a cluster does whose brokers are all fenced.
#[derive(Clone)]
pub(super) struct Server {
    port: u16,
    fenced: Arc<AtomicBool>,
}

impl Server {
    /// It has a broker.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server { port: listener.local_addr().unwrap().port(), fenced: Arc::default() };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        server
    }

    /// Whether it says that it has none.
    pub(super) fn fence(&self, fenced: bool) {
        self.fenced.store(fenced, Ordering::Release);
    }

    /// Where it is.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        loop {
            let mut size = [0; 4];
            stream.read_exact(&mut size)?;
            let mut request = vec![0; u32::from_be_bytes(size) as usize];
            stream.read_exact(&mut request)?;
            let number = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
            let mut response = request[4..8].to_vec();
            response.extend(match number(0) {
                API_VERSIONS => versions(number(2)),
                _ => self.metadata(),
            });
            stream.write_all(&(response.len() as u32).to_be_bytes())?;
            stream.write_all(&response)?;
        }
    }

    /// Version 1: brokers, controller, topics.
    fn metadata(&self) -> Vec<u8> {
        let mut all = Vec::new();
        if self.fenced.load(Ordering::Acquire) {
            all.extend(0_u32.to_be_bytes());
        } else {
            all.extend(1_u32.to_be_bytes());
            all.extend(1_u32.to_be_bytes());
            all.extend(text("127.0.0.1"));
            all.extend(u32::from(self.port).to_be_bytes());
            all.extend((-1_i16).to_be_bytes());
        }
        // The controller, and one topic: no error, its name, not internal, partitions without a leader and replicas.
        all.extend(1_u32.to_be_bytes());
        all.extend(1_u32.to_be_bytes());
        all.extend(0_u16.to_be_bytes());
        all.extend(text("t"));
        all.push(0);
        all.extend(PARTITIONS.to_be_bytes());
        for number in 0..PARTITIONS {
            all.extend(5_u16.to_be_bytes());
            all.extend(number.to_be_bytes());
            all.extend((-1_i32).to_be_bytes());
            all.extend([0; 8]);
        }
        all
    }
}

/// What the server has; said in version 0, in which a client asks again.
fn versions(asked: u16) -> Vec<u8> {
    let error: u16 = if asked > 0 { 35 } else { 0 };
    let mut all = error.to_be_bytes().to_vec();
    all.extend(2_u32.to_be_bytes());
    for (key, most) in [(METADATA, 1), (API_VERSIONS, 0)] {
        [key, 0, most].into_iter().for_each(|number| all.extend(number.to_be_bytes()));
    }
    all
}

fn text(text: &str) -> Vec<u8> {
    let mut all = (text.len() as u16).to_be_bytes().to_vec();
    all.extend(text.as_bytes());
    all
}
