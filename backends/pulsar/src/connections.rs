//! The connections of one publisher or consumer: one to every broker that has a partition of its topic.

use std::collections::HashMap;
use std::sync::Arc;

use anybroker_core::{Error, Kind, Result};
use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use pulsar::proto::command_lookup_topic_response::LookupType;
use pulsar::proto::{BaseCommand, CommandLookupTopic, CommandLookupTopicResponse, base_command::Type};

use crate::config::PulsarConfig;
use crate::error::{lost, refused};
use crate::wire::Wire;

/// A broker that does not know says whom to ask.
const MOST_REDIRECTS: usize = 10;

/// Connections that stand, or stood a moment ago.
#[derive(Debug)]
pub(crate) struct Connections {
    config: Arc<PulsarConfig>,
    /// The one that was made by the URL.
    base: Arc<Wire>,
    service: (String, u16),
    brokers: HashMap<String, Arc<Wire>>,
}

/// Where a lookup leads to.
enum Found {
    Redirect(String),
    Broker { url: String, through_proxy: bool },
}

impl Connections {
    /// Connects to the first host of the URL that answers.
    ///
    /// # Errors
    /// Why the last one did not.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn open(config: Arc<PulsarConfig>) -> Result<Self> {
        let mut last = Error::new(Kind::InvalidConfiguration, "connect", "there is no host to connect to");
        for (host, port) in &config.hosts {
            match Wire::open(&config, host, *port, None).await {
                Ok(base) => {
                    let service = (host.clone(), *port);
                    let base = Arc::new(base);
                    return Ok(Connections {
                        config: config.clone(),
                        base,
                        service,
                        brokers: HashMap::new(),
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The connection that was made by the URL.
    pub(crate) fn base(&self) -> &Arc<Wire> {
        &self.base
    }

    /// The connection to the broker that has this topic, or partition of one.
    ///
    /// # Errors
    /// As connecting, and what the lookup is refused with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn to(&mut self, operation: &'static str, topic: &str) -> Result<Arc<Wire>> {
        let (mut wire, mut authoritative) = (self.base.clone(), false);
        for _ in 0..MOST_REDIRECTS {
            match self.look_up(operation, &wire, topic, authoritative).await? {
                Found::Redirect(url) => {
                    (wire, authoritative) = (self.broker(&url, false).await?, true);
                }
                Found::Broker { url, through_proxy } => return self.broker(&url, through_proxy).await,
            }
        }
        Err(Error::new(Kind::Unexpected, operation, "the brokers send each other the lookup in a circle"))
    }

    async fn look_up(
        &self,
        operation: &'static str,
        wire: &Wire,
        topic: &str,
        authoritative: bool,
    ) -> Result<Found> {
        let answer = wire.request(operation, |request_id| BaseCommand {
            r#type: Type::Lookup as i32,
            lookup_topic: Some(CommandLookupTopic {
                topic: topic.to_owned(),
                request_id,
                authoritative: Some(authoritative),
                ..Default::default()
            }),
            ..Default::default()
        });
        let answer = answer.await?.lookup_topic_response.ok_or_else(|| lost(operation))?;
        let answer_type = answer.response.and_then(|response| LookupType::try_from(response).ok());
        let url = broker_url(&answer, self.config.tls);
        match (answer_type, url) {
            (Some(LookupType::Redirect), Some(url)) => Ok(Found::Redirect(url)),
            (Some(LookupType::Connect), Some(url)) => {
                Ok(Found::Broker { url, through_proxy: answer.proxy_through_service_url() })
            }
            _ => Err(refused(operation, answer.error.unwrap_or_default(), answer.message())),
        }
    }

    async fn broker(&mut self, url: &str, through_proxy: bool) -> Result<Arc<Wire>> {
        let address = url.split_once("://").map_or(url, |(_, address)| address).trim_end_matches('/');
        if let Some(wire) = self.brokers.get(address) {
            return Ok(wire.clone());
        }
        let (host, port) = address
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse().ok()?)))
            .ok_or_else(|| Error::new(Kind::Unexpected, "connect", format!("`{url}` is no broker's URL")))?;
        let wire = match through_proxy {
            true => {
                let (proxy, proxy_port) = &self.service;
                Arc::new(Wire::open(&self.config, proxy, *proxy_port, Some(address.to_owned())).await?)
            }
            false if (host, port) == (self.service.0.as_str(), self.service.1) => self.base.clone(),
            false => Arc::new(Wire::open(&self.config, host, port, None).await?),
        };
        self.brokers.insert(address.to_owned(), wire.clone());
        Ok(wire)
    }

    /// Waits until one of them has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) fn lost(&self) -> BoxFuture<'static, ()> {
        let wires = std::iter::once(&self.base).chain(self.brokers.values()).cloned();
        let ends = wires.map(|wire| async move { wire.end().await }.boxed());
        select_all(ends).map(drop).boxed()
    }

    /// Whether all of them stand.
    pub(crate) fn stand(&self) -> bool {
        std::iter::once(&self.base).chain(self.brokers.values()).all(|wire| !wire.has_ended())
    }
}

fn broker_url(answer: &CommandLookupTopicResponse, tls: bool) -> Option<String> {
    let url = if tls { &answer.broker_service_url_tls } else { &answer.broker_service_url };
    url.clone().filter(|url| !url.is_empty())
}
