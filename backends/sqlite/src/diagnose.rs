//! What an operator would look at.

use anybroker_core::{Diagnosis, Error, Finding, Kind, Result, Topic};

use crate::Sqlite;
use crate::config::Sync;
use crate::store::Store;

pub(crate) async fn all(broker: &Sqlite, _topic: Option<&Topic>) -> Result<Vec<Diagnosis>> {
    let store = &broker.store;
    Ok(vec![
        Diagnosis::new("version", Finding::Fine, format!("SQLite {}", rusqlite::version())),
        sync(store),
        wake_up(store),
        others(store).await?,
    ])
}

fn sync(store: &Store) -> Diagnosis {
    match store.sync {
        Sync::Full => Diagnosis::new("durability", Finding::Fine, "every commit is synced to the disk"),
        Sync::Normal => {
            let text = "sync=normal: a power cut may take the last confirmed messages with it";
            Diagnosis::new("durability", Finding::Warning, text).advice("leave sync=normal out of the URL")
        }
    }
}

fn wake_up(store: &Store) -> Diagnosis {
    match &store.deaf {
        None => Diagnosis::new("wake-up", Finding::Fine, "other processes' commits are noticed at once"),
        Some(why) => {
            let text = format!("other processes' commits are noticed once a second only: {why}");
            Diagnosis::new("wake-up", Finding::Warning, text)
                .advice("raise the limits of file watching, such as fs.inotify.max_user_instances")
        }
    }
}

async fn others(store: &Store) -> Result<Diagnosis> {
    let live = store.live.clone();
    let failed = |error: std::io::Error| {
        Error::new(Kind::Unexpected, "diagnose", "the files beside the database cannot be read")
            .with_source(error)
    };
    let others = store.read("diagnose", move |_| live.others().map_err(failed)).await?;
    let text = match &others[..] {
        [] => "no other process has the file open".to_owned(),
        others => format!("open in the processes {} too", others.join(", ")),
    };
    Ok(Diagnosis::new("users", Finding::Fine, text))
}
