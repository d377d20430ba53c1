//! A backend that is named by nothing but its URL.

use anybroker_core::{BrokerUrl, Result};

use super::server::{Server, address};
use super::{Open, Subject, starter, tuning, with};

impl Subject {
    /// The backend at a URL, set up for a run: its time-outs are short, unless the URL says how long they are. Where it is
    /// one of the brokers that the starter runs, its process can be broken, and a proxy leads to it.
    ///
    /// Also says which parameters the URL got.
    ///
    /// # Errors
    /// The URL does not read.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn at(url: &str, open: Open) -> Result<(Self, Vec<String>)> {
        let url = url.replacen("localhost:", "127.0.0.1:", 1);
        let read: BrokerUrl = url.parse()?;
        let tuning = tuning::tuning(&read.scheme);
        let added = tuning::added(&read);
        let server = match tuning.process {
            Some(process) => Some(server(&url, process).await.impatient(tuning.impatient)),
            None => None,
        };
        let process = server.as_ref().map(|server| server.process.clone());
        let name = process.clone().unwrap_or_else(|| read.scheme.clone());
        let subject = Subject {
            open: open.clone(),
            server,
            shared: tuning.shared,
            volatile: process.as_deref().and_then(tuning::volatile),
            ..Subject::new(name, with(url, &added.join("&")), move |url| open(url))
        };
        Ok((subject, added))
    }

    /// Opens the URL as the user gave it, once: what keeps its messages in a file creates that only so.
    ///
    /// # Errors
    /// It cannot be reached.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn reach(&self, url: &str) -> Result<()> {
        (self.open)(url.to_owned()).await?.close().await
    }

    /// Whether the broker's process can be broken, or there is none.
    ///
    /// # Errors
    /// It cannot; the text says what to do.
    pub fn takes_all_faults(&self) -> std::result::Result<(), String> {
        let Some(server) = self.server.as_ref().filter(|server| server.faults.is_err()) else {
            return Ok(());
        };
        let scheme = self.url.split("://").next().unwrap_or_default();
        let kind = tuning::tuning(scheme).process.unwrap_or(&server.process);
        Err(format!(
            "--faults all kills and pauses the broker, and {} is not one that `anybroker brokers` has started: start one by \
             `anybroker brokers up {kind}` and give its URL, or leave the broker alone by --faults client or --faults none",
            self.shown_url()
        ))
    }
}

/// The server at a URL.
async fn server(url: &str, process: &str) -> Server {
    let Some(at) = address(url) else { return Server::new(process, url) };
    let ready = starter::all_ready().await.unwrap_or_default();
    let here = ready.into_iter().filter_map(Server::started).find(|server| address(&server.url) == Some(at));
    here.unwrap_or_else(|| Server::new(process, url))
}
