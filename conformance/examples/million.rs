//! How long a check takes, and how much memory: a made-up history of a million events (or as many as are asked for),
//! held to all properties.
//!
//! `cargo run --release -p anybroker-conformance --example million [EVENTS]`

use std::fmt::Write as _;
use std::io::{self, BufReader, Read};
use std::time::Instant;

use anybroker_conformance::history::read;
use anybroker_conformance::properties::check;

const HEADER: &str = r#"{"history":"anybroker/1","backend":"made up","epsilon_ms":5,"promises":{"P1":{},"P2":{},"P3":{},"P3p":{},"P4":{},"P5":{},"P6":{"lease_ms":30000},"P6b":{},"P7":{"scope":"key"},"P7r":{"scope":"key"},"P8":{"scope":"key","lease_ms":30000},"P9":{"mark":"count"},"P10":{"limit":3,"dead_letter":"at_least_once"},"P11":{"window_ms":1000},"P11b":{},"P12":{},"P13":{"bound":1000},"P14":{},"P15":{},"P16":{},"P17":{"within_ms":1000}}}"#;
const EVENTS_A_MESSAGE: u64 = 5;
/// How many messages are in flight at a time.
const FLIGHT: u64 = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = std::env::args().nth(1).map_or(Ok(1_000_000), |it| it.parse::<u64>())?;
    let messages = events / EVENTS_A_MESSAGE;
    let start = Instant::now();
    let history = read(BufReader::with_capacity(1 << 16, Made::new(messages)))?;
    let (read_in, read_memory) = (start.elapsed(), peak_memory());
    let report = check(&history);
    println!("{report}");
    println!(
        "{} events of {messages} messages: read in {read_in:.2?}, checked in {:.2?}",
        history.events(),
        start.elapsed()
    );
    if let (Some(read), Some(all)) = (read_memory, peak_memory()) {
        let bytes = |kibibytes: u64| kibibytes * 1024 / messages.max(1);
        println!("peak memory: {} bytes a message when read, {} when checked", bytes(read), bytes(all));
    }
    Ok(())
}

/// The greatest memory that this process has had, in kibibytes, where the system says.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A history that is made up while it is read: messages of 1,000 keys, published and consumed a hundred at a time.
struct Made {
    buffer: Vec<u8>,
    given: usize,
    next: u64,
    messages: u64,
    time: u64,
}

impl Made {
    fn new(messages: u64) -> Self {
        let mut made = Self { buffer: Vec::new(), given: 0, next: 0, messages, time: 0 };
        made.buffer.extend(HEADER.as_bytes());
        made.buffer.push(b'\n');
        made.line(
            r#""e":"open","session":"s","consumer":"c","group":"g","topic":"orders","start":"earliest""#,
        );
        made
    }

    fn line(&mut self, event: &str) {
        self.time += 1_000;
        let mut line = String::new();
        if writeln!(line, "{{\"t\":{},{event}}}", self.time).is_ok() {
            self.buffer.extend(line.as_bytes());
        }
    }

    fn batch(&mut self) {
        let batch = self.next..(self.next + FLIGHT).min(self.messages);
        for i in batch.clone() {
            let (key, hash) = (i % 1_000, i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            self.line(&format!(r#""e":"publish","m":"m-{i:010}","publisher":"p","topic":"orders","key":"order-{key}","hash":"{hash:016x}""#));
        }
        for i in batch.clone() {
            self.line(&format!(r#""e":"published","m":"m-{i:010}","outcome":"ok","position":{{"partition":{},"offset":{i}}}"#, i % 8));
        }
        for i in batch.clone() {
            let (key, hash) = (i % 1_000, i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            self.line(&format!(r#""e":"deliver","d":"d-{i:010}","m":"m-{i:010}","session":"s","key":"order-{key}","hash":"{hash:016x}","position":{{"partition":{},"offset":{i}}},"attempt":1"#, i % 8));
            self.line(&format!(r#""e":"settle","d":"d-{i:010}","verdict":"ack""#));
        }
        for i in batch.clone() {
            self.line(&format!(r#""e":"settled","d":"d-{i:010}","outcome":"ok""#));
        }
        self.next = batch.end;
        if self.next == self.messages {
            self.line(r#""e":"drained","group":"g","topic":"orders""#);
        }
    }
}

impl Read for Made {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.given == self.buffer.len() && self.next < self.messages {
            self.buffer.clear();
            self.given = 0;
            self.batch();
        }
        let part = &self.buffer[self.given..];
        let count = part.len().min(to.len());
        to[..count].copy_from_slice(&part[..count]);
        self.given += count;
        Ok(count)
    }
}
