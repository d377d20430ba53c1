//! The backends that tests reach: how each is opened, and where its server is.

use anybroker_conformance::subject::tuning::{added, tuning, volatile};
use anybroker_conformance::subject::{Server, Subject, with};

/// A backend without a server.
pub(crate) fn local(name: &str, url: &str) -> Subject {
    let url = with(url.to_owned(), &added(&url.parse().unwrap()).join("&"));
    Subject::new(name, url, |url| async move { anybroker::connect(&url).await })
}

/// A backend on one of the starter's servers. The parameter `core` stands for NATS without JetStream.
pub(crate) fn server(name: &str, process: &str, parameters: &str) -> Subject {
    let excluded = excluded(process);
    let found = match excluded {
        Some(_) => Err(String::new()),
        None => now(Server::running(process)),
    };
    let missing = found.as_ref().err().cloned();
    let server = found.unwrap_or_else(|_| Server::new(process, "none://"));
    let url = match parameters {
        // The same server without JetStream.
        "core" => server.url.replacen("nats://", "nats+core://", 1),
        _ => with(server.url.clone(), parameters),
    };
    let scheme = url.split("://").next().unwrap();
    let server = server.impatient(tuning(scheme).impatient);
    Subject {
        server: Some(server),
        shared: true,
        volatile: volatile(process),
        excluded,
        missing,
        ..local(name, &url)
    }
}

/// Waits for a future on a runtime of its own.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// `ANYBROKER_TEST_EXCLUDE=kafka,rabbitmq4` leaves brokers out, by name and reported.
fn excluded(process: &str) -> Option<String> {
    let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    names.split(',').any(|name| name == process).then(|| "excluded by ANYBROKER_TEST_EXCLUDE".to_owned())
}
