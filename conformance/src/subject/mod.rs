//! A backend in one configuration, as it is tested: how it is reached, and what can be done to it.

mod apart;
mod found;
mod server;
mod starter;
pub mod tuning;
mod turns;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Broker, Group, Guarantees, Result, Topic, Topology};
use futures::future::BoxFuture;

pub use apart::{MEMBER_SUBJECT, MEMBER_URL, member};
pub use server::Server;
pub use turns::{Turn, turn};

use crate::cases::{Applicable, Case, Connect, Context, Detour, Disturbs, Faults};
use crate::proxy::Proxy;
use crate::run::{Histories, Options};

/// Opens the broker at a URL.
pub type Open = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Broker>> + Send + Sync>;

/// A backend in one configuration.
#[derive(Clone)]
pub struct Subject {
    /// The configuration's name, for reports.
    pub name: String,
    /// Where it is reached.
    pub url: String,
    /// Opens it.
    pub open: Open,
    /// The broker's process; none for an embedded one.
    pub server: Option<Server>,
    /// Whether another process reaches it by its URL.
    pub shared: bool,
    /// Why a restart loses what was confirmed, where that is this server's way and not that of what it stands for.
    pub volatile: Option<&'static str>,
    /// The only cases that this configuration is for; all if empty.
    pub only: &'static [&'static str],
    /// How long nothing may move before what is missing counts as lost: longer than every time-out of the broker.
    pub quiet: Duration,
    /// Why it is left out on purpose.
    pub excluded: Option<String>,
    /// Why it cannot be had, which fails its cases.
    pub missing: Option<String>,
}

impl Subject {
    /// A backend that lives in this process and is reached by `open`.
    pub fn new<O, F>(name: impl Into<String>, url: impl Into<String>, open: O) -> Self
    where
        O: Fn(String) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Broker>> + Send + 'static,
    {
        Subject {
            name: name.into(),
            url: url.into(),
            open: Arc::new(move |url| Box::pin(open(url))),
            server: None,
            shared: false,
            volatile: None,
            only: &[],
            quiet: Duration::from_secs(25),
            excluded: None,
            missing: None,
        }
    }

    /// Whether this configuration is for a case.
    pub fn runs(&self, case: &Case) -> bool {
        self.only.is_empty() || self.only.contains(&case.name)
    }

    /// Waits until nothing else on the same broker is in the way of a case, nor the case in its way.
    pub fn turn(&self, disturbs: Disturbs) -> Turn {
        match (&self.server, disturbs) {
            (Some(server), Disturbs::Member) => turn(&server.process, Disturbs::Nothing),
            (Some(server), _) => turn(&server.process, disturbs),
            (None, Disturbs::Member) => turn(&self.name, Disturbs::Broker),
            (None, _) => turn(&self.name, disturbs),
        }
    }

    /// The URL without secrets.
    pub fn shown_url(&self) -> String {
        self.url
            .parse::<anybroker_core::BrokerUrl>()
            .map_or_else(|_| self.name.clone(), |url| url.to_string())
    }

    /// Opens connections to it.
    pub fn connect(&self) -> Connect {
        connect(&self.open, self.url.clone())
    }

    /// What it promises for a topic with a group.
    ///
    /// # Errors
    /// It cannot be reached.
    ///
    /// # Cancel safety
    /// A cancelled call may leave a topic behind.
    pub async fn guarantees(&self) -> Result<Guarantees> {
        let broker = self.connect()().await?;
        // Another configuration may ask the same broker at the same time.
        let topic = Topic::new(format!("guarantees-{}-{}", self.name, std::process::id()))?;
        let group = Group::new("g")?;
        broker.admin().declare(&Topology::new(topic.clone()).group(group.clone())).await?;
        let guarantees = broker.guarantees(Some(&topic), Some(&group)).await;
        broker.admin().delete(&topic).await?;
        broker.close().await?;
        guarantees
    }

    /// Breaks the broker's process.
    pub fn faults(&self) -> Applicable<Arc<dyn Faults>> {
        let server = self.server.as_ref().ok_or("embedded: it has no process of its own")?;
        server.faults.clone()
    }

    /// Leads to the broker through a proxy.
    pub fn detour(&self) -> Applicable<Detour> {
        let server = self.server.clone().ok_or("embedded: there is no connection")?;
        let way = server.way?;
        let (open, url) = (self.open.clone(), self.url.clone());
        Ok(Arc::new(move || {
            let (open, url, server) = (open.clone(), url.clone(), server.clone());
            Box::pin(async move {
                let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, way.forward_to));
                let proxy = Proxy::listen(way.listen, broker).await?;
                let direct =
                    server::address(&url).ok_or_else(|| std::io::Error::other("the URL has no address"))?;
                let url = url.replacen(&direct.to_string(), &proxy.address().to_string(), 1);
                Ok((proxy, connect(&open, with(url, &server.impatient))))
            })
        }))
    }

    /// What a case works with.
    pub fn context(&self, options: &Options, histories: Histories) -> Context {
        Context {
            name: self.name.clone(),
            connect: self.connect(),
            spawn_member: self.spawn_member(),
            faults: self.faults(),
            detour: self.detour(),
            volatile: self.volatile,
            quiet: self.quiet,
            seed: options.seed,
            histories,
            judged_by: None,
        }
        .limited_to(options.faults)
    }
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject")
            .field("name", &self.name)
            .field("url", &self.shown_url())
            .finish_non_exhaustive()
    }
}

fn connect(open: &Open, url: String) -> Connect {
    let open = open.clone();
    Arc::new(move || open(url.clone()))
}

/// A URL with more parameters.
pub fn with(url: String, parameters: &str) -> String {
    match (parameters, url.contains('?')) {
        ("", _) => url,
        (_, true) => format!("{url}&{parameters}"),
        (_, false) => format!("{url}?{parameters}"),
    }
}
