//! The processor time of a server on this machine: whoever listens at the port of the URL.

use std::fs;
use std::net::{IpAddr, ToSocketAddrs};

use anybroker::BrokerUrl;

/// The server's process, where it can be known.
pub(super) struct BrokerCpu {
    pid: Option<u32>,
}

/// What `/proc/PID/stat` counts in, on every Linux that Rust runs on.
const TICKS: f64 = 100.0;
/// "Listening" in `/proc/net/tcp`.
const LISTEN: &str = "0A";

impl BrokerCpu {
    pub(super) fn of(url: &str) -> Self {
        BrokerCpu { pid: find(url) }
    }

    /// Seconds up to now.
    pub(super) fn seconds(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid?)).ok()?;
        // The program's name is in brackets and may have spaces in it.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
        Some((ticks(11)? + ticks(12)?) / TICKS)
    }
}

fn find(url: &str) -> Option<u32> {
    let mut url: BrokerUrl = url.parse().ok()?;
    if url.scheme == "sqs" {
        url = url.parameters().text("endpoint")?.parse().ok()?;
    }
    let (host, port) = url.hosts.first()?;
    let port = port.or(match url.scheme.as_str() {
        "kafka" => Some(9092),
        "nats" | "nats+core" => Some(4222),
        "pulsar" => Some(6650),
        "amqp" => Some(5672),
        "amqps" => Some(5671),
        _ => None,
    })?;
    let local = (host.as_str(), port).to_socket_addrs().ok()?.all(|it| is_loopback(it.ip()));
    let inode = local.then(|| listener(port))??;
    let target = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid: &u32| has(*pid, &target))
}

fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

/// The inode of the socket that listens at the port.
fn listener(port: u16) -> Option<String> {
    let suffix = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| fs::read_to_string(file).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines()).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTEN;
        listens.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })
}

fn has(pid: u32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket))
}
