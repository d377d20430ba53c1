//! The way to the server: names, TCP, encryption.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anybroker::{BrokerUrl, Diagnosis, Finding};
use tokio::net::{TcpStream, lookup_host};

use super::report::{Report, milliseconds};
use crate::failure::Failure;
use crate::progress;

/// How long a name or a host has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

const NAME: &str = "name resolution";
const TCP: &str = "TCP connection";

/// Looks at every host of the URL; says whether one can be reached.
pub(super) async fn look(url: &BrokerUrl, report: &mut Report) -> Result<bool, Failure> {
    let hosts = hosts(url);
    let mut found = Vec::new();
    for (host, port) in &hosts {
        let bar = progress::waiting(format!("{host}:{port}"));
        found.extend(look_at(host, *port).await);
        bar.finish_and_clear();
    }
    let reached = found.iter().any(|found| found.subject == TCP && found.finding == Finding::Fine);
    for mut one in found {
        if reached && one.finding == Finding::Failure {
            // The others stand in for it.
            one.finding = Finding::Warning;
        }
        report.add(one)?;
    }
    Ok(reached || hosts.is_empty())
}

/// Where the URL leads, with the ports that the backends take where none is named.
fn hosts(url: &BrokerUrl) -> Vec<(String, u16)> {
    let default = match url.scheme.as_str() {
        "kafka" | "kafka+ssl" => 9092,
        "amqp" => 5672,
        "amqps" => 5671,
        "nats" | "nats+core" | "tls" => 4222,
        "sqs" => return sqs(url).into_iter().collect(),
        // No network.
        _ => return Vec::new(),
    };
    url.hosts.iter().map(|(host, port)| (host.clone(), port.unwrap_or(default))).collect()
}

/// The endpoint, or the region's.
fn sqs(url: &BrokerUrl) -> Option<(String, u16)> {
    let Some(endpoint) = url.parameters().text("endpoint") else {
        let region = url.hosts.first()?.0.clone();
        return Some((format!("sqs.{region}.amazonaws.com"), 443));
    };
    let endpoint: BrokerUrl = endpoint.parse().ok()?;
    let default = if endpoint.scheme == "https" { 443 } else { 80 };
    endpoint.hosts.first().map(|(host, port)| (host.clone(), port.unwrap_or(default)))
}

/// The address as the resolver takes it: IPv6 without brackets.
fn bare(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}

async fn look_at(host: &str, port: u16) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let addresses = match tokio::time::timeout(PATIENCE, lookup_host((bare(host), port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(error)) => {
            let text = format!("`{host}` has no address: {error}");
            let advice = "correct the host in the URL, or the resolver's configuration";
            return vec![Diagnosis::new(NAME, Finding::Failure, text).advice(advice)];
        }
        Err(_) => {
            let text = format!("no answer for `{host}` within {} s", PATIENCE.as_secs());
            let advice = "see whether this machine's name server answers";
            return vec![Diagnosis::new(NAME, Finding::Failure, text).advice(advice)];
        }
    };
    if bare(host).parse::<IpAddr>().is_err() {
        let list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
        found.push(Diagnosis::new(NAME, Finding::Fine, format!("`{host}` is {}", list.join(", "))));
    }
    found.push(reach(&format!("{host}:{port}"), &addresses).await);
    found
}

/// Tries the addresses in turn, as clients do.
async fn reach(place: &str, addresses: &[SocketAddr]) -> Diagnosis {
    let mut why = ("no address".to_owned(), "correct the host in the URL");
    for address in addresses {
        let began = Instant::now();
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                let text = format!("{place} accepts in {}", milliseconds(began.elapsed()));
                return Diagnosis::new(TCP, Finding::Fine, text);
            }
            Ok(Err(error)) => why = (error.to_string(), refusal(&error)),
            Err(_) => {
                let text = format!("no answer within {} s", PATIENCE.as_secs());
                why = (text, "see whether a firewall drops the packets, and whether the address is right");
            }
        }
    }
    Diagnosis::new(TCP, Finding::Failure, format!("{place}: {}", why.0)).advice(why.1)
}

fn refusal(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            "nothing listens there: start the broker, or correct the port"
        }
        _ => "see whether this machine has a route to that address",
    }
}

/// Whether the connection is encrypted.
pub(super) fn is_encrypted(url: &BrokerUrl) -> bool {
    let mut parameters = url.parameters();
    let files =
        ["tls_ca", "tls_certificate", "tls_key"].into_iter().any(|name| parameters.text(name).is_some());
    let endpoint = parameters.text("endpoint").is_some_and(|endpoint| endpoint.starts_with("http:"));
    match url.scheme.as_str() {
        "kafka+ssl" | "amqps" | "tls" => true,
        "sqs" => !endpoint,
        // NATS servers say themselves that they want it.
        "nats" | "nats+core" => files,
        _ => false,
    }
}

/// What others on the way can see.
pub(super) fn encryption(url: &BrokerUrl, report: &mut Report) -> Result<(), Failure> {
    let hosts = hosts(url);
    if hosts.is_empty() {
        return Ok(());
    }
    if is_encrypted(url) {
        let text = "the connection is encrypted, and the server's certificate is trusted";
        return report.add(Diagnosis::new("encryption", Finding::Fine, text));
    }
    if hosts.iter().all(|(host, _)| is_this_machine(host)) {
        let text = "none, and the connection does not leave this machine";
        return report.add(Diagnosis::new("encryption", Finding::Fine, text));
    }
    let what = if url.user.is_some() { "messages and the password" } else { "messages" };
    let text = format!("none: {what} can be read on the way");
    let advice = match url.scheme.as_str() {
        "kafka" => "kafka+ssl:// and the brokers' encrypted port",
        "amqp" => "amqps:// and the server's encrypted port",
        "nats" | "nats+core" => "tls:// or tls_ca=",
        _ => "an https endpoint",
    };
    report.add(Diagnosis::new("encryption", Finding::Warning, text).advice(advice))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || bare(host).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_leads_somewhere_or_needs_no_network() {
        for (url, expected) in [
            ("kafka://h1,h2:1", vec![("h1", 9092), ("h2", 1)]),
            ("amqps://u:p@h/v", vec![("h", 5671)]),
            ("nats+core://h", vec![("h", 4222)]),
            ("sqs://eu-central-1", vec![("sqs.eu-central-1.amazonaws.com", 443)]),
            ("sqs://us-east-1?endpoint=http://127.0.0.1:9324", vec![("127.0.0.1", 9324)]),
            ("sqlite:///tmp/x.db", vec![]),
        ] {
            let found = hosts(&url.parse().unwrap());
            let found: Vec<_> = found.iter().map(|(host, port)| (host.as_str(), *port)).collect();
            assert_eq!(found, expected, "{url}");
        }
        assert!(is_this_machine("[::1]") && is_this_machine("127.0.0.2") && !is_this_machine("10.0.0.1"));
    }
}
