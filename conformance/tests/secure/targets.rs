//! The brokers under test, as the starter runs them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anybroker_conformance::brokers::{Brokers, Options, PortChoice, State, Status, default_state};

/// One broker and the ways to it.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// The plain way.
    pub(crate) plain: String,
    urls: BTreeMap<String, String>,
    files: PathBuf,
    /// Why it cannot be had, which fails its cases.
    pub(crate) missing: Option<String>,
}

impl Target {
    pub(crate) fn find(name: &'static str) -> Self {
        let mut target = Target {
            name,
            plain: String::new(),
            urls: BTreeMap::new(),
            files: PathBuf::new(),
            missing: None,
        };
        if target.excluded() {
            return target;
        }
        match running(name) {
            Ok(status) => {
                target.plain = status.url.unwrap_or_default();
                if let Some(secure) = status.secure {
                    (target.urls, target.files) = (secure.urls, secure.files);
                } else if name != "elasticmq" {
                    let text = "runs in a container, which has no encrypted listener; start it with --native";
                    target.missing = Some(format!("{name} {text}"));
                }
            }
            Err(missing) => target.missing = Some(missing),
        }
        target
    }

    /// `ANYBROKER_TEST_EXCLUDE=kafka,rabbitmq4` leaves brokers out, by name and reported.
    pub(crate) fn excluded(&self) -> bool {
        let names = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
        names.split(',').any(|name| name == self.name)
    }

    /// The URL that logs in this way.
    pub(crate) fn url(&self, way: &str) -> String {
        self.urls.get(way).cloned().unwrap_or_else(|| panic!("{} has no way `{way}`", self.name))
    }

    /// One of the files beside the certificates.
    pub(crate) fn file(&self, name: &str) -> String {
        self.files.join(name).display().to_string()
    }

    pub(crate) fn port(&self, url: &str) -> u16 {
        let rest = url.split_once("127.0.0.1:").expect("it is on the loopback").1;
        rest.split(['?', '/']).next().unwrap().parse().expect("a port")
    }
}

fn running(name: &'static str) -> Result<Status, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = Options { ports: PortChoice::Same, ..Options::default() };
    let brokers = Brokers::open(default_state(), options).map_err(|e| e.to_string())?;
    let status = runtime.block_on(async { brokers.status(&[name]).await }).map_err(|e| e.to_string())?;
    status.into_iter().find(|status| status.state == State::Ready).ok_or_else(|| {
        format!(
            "{name} is not running; start it: anybroker brokers up {name}, or run all tests by cargo xtask test. \
             ANYBROKER_TEST_EXCLUDE={name} leaves it out by name"
        )
    })
}
