//! Which ports a broker listens on.

mod holder;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
};

use serde::{Deserialize, Serialize};

use super::Error;

/// Free ports are looked for here, below the range from which systems take ports for outgoing connections.
const FREE: std::ops::Range<u16> = 20_000..32_000;
const TRIES: usize = 1_000;

/// A port that a broker needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortUse {
    /// What it is for: `client`, `management`, …
    pub(crate) purpose: &'static str,
    /// The usual one.
    pub(crate) usual: u16,
    /// False for a port on which not the broker but a proxy in front of it listens.
    pub(crate) listens: bool,
}

impl PortUse {
    pub(crate) const fn listening(purpose: &'static str, usual: u16) -> Self {
        Self { purpose, usual, listens: true }
    }

    pub(crate) const fn advertised(purpose: &'static str, usual: u16) -> Self {
        Self { purpose, usual, listens: false }
    }
}

/// A broker's ports by purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports(BTreeMap<String, u16>);

impl Ports {
    /// The port for this purpose; 0 if the broker has none for it.
    #[must_use]
    pub fn get(&self, purpose: &str) -> u16 {
        self.0.get(purpose).copied().unwrap_or_default()
    }

    /// All purposes and their ports.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u16)> {
        self.0.iter().map(|(purpose, port)| (purpose.as_str(), *port))
    }

    pub(crate) fn usual(uses: &[PortUse]) -> Self {
        uses.iter().map(|each| (each.purpose, each.usual)).collect()
    }

    /// Ports on which nothing listens. They are not held: whoever comes first gets them.
    pub(crate) fn free(broker: &str, uses: &[PortUse]) -> Result<Self, Error> {
        let mut listeners = BTreeMap::new();
        let first = RandomState::new().hash_one(broker);
        let candidates = (0..TRIES as u64).map(|step| candidate(first.wrapping_add(step * 7)));
        for port in candidates {
            if listeners.len() == uses.len() {
                break;
            }
            if let Some(listener) = listen(port) {
                listeners.entry(port).or_insert(listener);
            }
        }
        if listeners.len() < uses.len() {
            return Err(Error::NoFreePort { broker: broker.into(), tried: TRIES });
        }
        Ok(uses.iter().zip(listeners.keys()).map(|(each, port)| (each.purpose, *port)).collect())
    }

    /// Whether these are the ports that the broker needs.
    pub(crate) fn are_for(&self, uses: &[PortUse]) -> bool {
        uses.iter().all(|each| self.0.contains_key(each.purpose))
    }

    /// Whether nothing listens on any of them.
    pub(crate) fn are_free(&self, uses: &[PortUse]) -> bool {
        self.taken(uses).is_none()
    }

    /// Says which port is taken, and by whom.
    pub(crate) fn check(&self, broker: &str, uses: &[PortUse]) -> Result<(), Error> {
        let Some((purpose, port)) = self.taken(uses) else { return Ok(()) };
        Err(Error::PortTaken {
            broker: broker.into(),
            port,
            purpose: purpose.into(),
            holder: holder::of(port),
        })
    }

    fn taken(&self, uses: &[PortUse]) -> Option<(&'static str, u16)> {
        let listening = uses.iter().filter(|each| each.listens);
        listening.map(|each| (each.purpose, self.get(each.purpose))).find(|(_, port)| listen(*port).is_none())
    }
}

impl<'a, const N: usize> From<[(&'a str, u16); N]> for Ports {
    fn from(ports: [(&'a str, u16); N]) -> Self {
        ports.into_iter().collect()
    }
}

impl<'a> FromIterator<(&'a str, u16)> for Ports {
    fn from_iter<I: IntoIterator<Item = (&'a str, u16)>>(ports: I) -> Self {
        Self(ports.into_iter().map(|(purpose, port)| (purpose.to_owned(), port)).collect())
    }
}

fn candidate(number: u64) -> u16 {
    let width = u64::from(FREE.end - FREE.start);
    FREE.start + u16::try_from(number % width).unwrap_or_default()
}

fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USES: &[PortUse] = &[PortUse::listening("client", 9092), PortUse::advertised("proxy", 19094)];

    #[test]
    fn free_ports_differ_and_are_free() {
        let ports = Ports::free("kafka", USES).unwrap();
        assert_ne!(ports.get("client"), ports.get("proxy"));
        assert!(ports.iter().all(|(_, port)| FREE.contains(&port)));
        assert!(ports.are_free(USES));
    }

    #[test]
    fn a_taken_port_is_named_with_its_holder() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Ports::from([("client", port), ("proxy", port)]).check("kafka", USES).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("port {port} (client) is taken by ")), "{text}");
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
    }

    #[test]
    fn a_proxy_may_listen_on_the_advertised_port() {
        let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut ports = Ports::free("kafka", USES).unwrap();
        ports.0.insert("proxy".into(), proxy.local_addr().unwrap().port());
        assert!(ports.are_free(USES));
    }

    #[test]
    fn ports_recorded_for_other_purposes_are_known() {
        assert!(!Ports::from([("client", 1)]).are_for(USES));
    }
}
