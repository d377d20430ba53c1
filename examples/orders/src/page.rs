//! How everything stands, over HTTP: a page for people, and the JSON that it shows. Read-only, one GET a connection.

use std::sync::Arc;
use std::time::Duration;

use anybroker::patterns::outbox;
use anybroker::patterns::projection::Projections;
use anybroker::{Broker, Error, Kind, Result};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::database::Database;
use crate::run::Run;
use crate::settings::Settings;
use crate::topics::{Place, Topics};

/// The longest request that is read, how long one may take, and how many are answered at once.
const LONGEST: u64 = 8 * 1024;
const LIMIT: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 16;
/// How long nobody is let in after the system let nobody in.
const PAUSE: Duration = Duration::from_millis(100);

/// What the page shows.
#[derive(Debug, Default, Serialize)]
struct Shown {
    run: String,
    orders: u32,
    placed: i64,
    /// The projection: how many orders are in each state.
    states: Vec<(String, i64)>,
    /// Sagas in each state.
    sagas: Vec<(String, i64)>,
    /// How many events the projection has still to apply.
    projection_lag: u64,
    outbox_backlog: u64,
    outbox_quarantined: u64,
    /// What each group has still to handle.
    backlogs: Vec<(&'static str, u64)>,
    dead_letters: u64,
}

/// What the page is about, and where it is served, if it is.
pub(crate) struct Page<D: Database> {
    broker: Broker,
    database: D,
    topics: Topics,
    run: Run,
    listener: Option<TcpListener>,
}

impl<D: Database> Page<D> {
    /// Binds to the address that the settings name, and says where the page can be seen.
    pub(crate) async fn open(broker: &Broker, database: &D, run: &Run, settings: &Settings) -> Result<Self> {
        let mut listener = None;
        if let Some(address) = &settings.page {
            let failed =
                |error| Error::new(Kind::InvalidConfiguration, "orders", format!("{address}: {error}"));
            let bound = TcpListener::bind(address).await.map_err(failed)?;
            settings.say(&format!("http://{}/ shows how it stands", bound.local_addr().map_err(failed)?));
            listener = Some(bound);
        }
        let (broker, database, topics) = (broker.clone(), database.clone(), Topics::of(&run.id));
        Ok(Page { broker, database, topics, run: run.clone(), listener })
    }

    /// Answers for as long as it is polled.
    pub(crate) async fn serve(mut self) {
        let Some(listener) = self.listener.take() else { return std::future::pending().await };
        let (page, mut connections) = (Arc::new(self), JoinSet::new());
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                    let Ok((stream, _)) = accepted else {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    };
                    let page = page.clone();
                    // Who goes away needs no answer.
                    connections.spawn(tokio::time::timeout(LIMIT, async move { page.answer(stream).await }));
                }
            }
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        let mut limited = (&mut stream).take(LONGEST);
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if limited.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8_lossy(&head);
        let (status, media_type, body) = match head.split(' ').take(2).collect::<Vec<_>>()[..] {
            ["GET", "/"] => ("200 OK", "text/html", include_str!("page.html").to_owned()),
            ["GET", "/state.json"] => match self.state().await {
                Ok(shown) => ("200 OK", "application/json", serde_json::json!(shown).to_string()),
                Err(error) => ("503 Service Unavailable", "text/plain", format!("{error}\n")),
            },
            ["GET", _] => ("404 Not Found", "text/plain", "there are / and /state.json\n".to_owned()),
            _ => ("405 Method Not Allowed", "text/plain", "only GET\n".to_owned()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {media_type}; charset=utf-8\r\ncontent-length: {}\r\n\
             cache-control: no-store\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.shutdown().await
    }

    async fn state(&self) -> Result<Shown> {
        let outbox = outbox::Store::status(&self.database).await?;
        let mut backlogs = Vec::new();
        for place in Place::ALL {
            let (topic, group) = (self.topics.topic(place)?, self.topics.group(place)?);
            backlogs.push((place.service(), self.broker.admin().backlog(&topic, &group).await?));
        }
        let projections = Projections::open(self.database.clone()).await?.status().await?;
        let sagas = self.counts("{sagas}").await?;
        Ok(Shown {
            run: self.run.id.clone(),
            orders: self.run.orders,
            placed: sagas.iter().map(|(_, count)| count).sum(),
            states: self.counts("{order_states}").await?,
            sagas,
            projection_lag: projections.iter().map(|projection| projection.lag()).sum(),
            outbox_backlog: outbox.backlog,
            outbox_quarantined: outbox.quarantined,
            backlogs,
            dead_letters: self.topics.count_dead_letters(&self.broker).await?,
        })
    }

    /// How many rows of a table there are in each state.
    async fn counts(&self, table: &str) -> Result<Vec<(String, i64)>> {
        let sql = format!("select state || ' ' || count(*) from {table} group by state order by state");
        let rows = self.database.texts(&sql).await?;
        let row = |row: String| {
            row.split_once(' ').map(|(state, count)| (state.to_owned(), count.parse().unwrap_or(0)))
        };
        Ok(rows.into_iter().filter_map(row).collect())
    }
}
