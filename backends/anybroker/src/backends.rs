//! The table of backends: adding one is one line here, beside its folder and its feature.

use anybroker_core::{Broker, BrokerUrl, Error, Kind, Result};

/// A backend as the table knows it, whether or not it is built in.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The Cargo feature, and the name of the re-exported module.
    pub(crate) feature: &'static str,
    /// The URL schemes.
    pub(crate) schemes: &'static [&'static str],
}

macro_rules! backends {
    ($($(#[$doc:meta])* $feature:literal: $krate:ident as $module:ident, [$($scheme:literal),+];)+) => {
        /// The backends that are built in, one module each, with their typed configurations.
        pub mod backend {
            $(
                $(#[$doc])*
                #[cfg(feature = $feature)]
                pub use $krate as $module;
            )+
        }

        pub(crate) const BACKENDS: &[Entry] = &[$(
            Entry { feature: $feature, schemes: &[$($scheme),+] },
        )+];

        pub(crate) async fn open(url: &BrokerUrl) -> Result<Broker> {
            $(
                #[cfg(feature = $feature)]
                if $krate::SCHEMES.contains(&url.scheme.as_str()) {
                    return $krate::connect(url).await;
                }
            )+
            Err(unavailable(url))
        }

        pub(crate) fn check(url: &BrokerUrl) -> Result<()> {
            $(
                #[cfg(feature = $feature)]
                if $krate::SCHEMES.contains(&url.scheme.as_str()) {
                    return $krate::check(url);
                }
            )+
            Err(unavailable(url))
        }

        #[cfg(test)]
        fn own_schemes() -> Vec<(&'static str, &'static [&'static str])> {
            vec![$(
                #[cfg(feature = $feature)]
                ($feature, $krate::SCHEMES),
            )+]
        }
    };
}

backends! {
    /// The in-memory broker.
    "memory": anybroker_memory as memory, ["memory"];
    /// Apache Kafka.
    "kafka": anybroker_kafka as kafka, ["kafka", "kafka+ssl"];
    /// NATS: JetStream, and core NATS as at-most-once.
    "nats": anybroker_nats as nats, ["nats", "tls", "nats+core"];
    /// The embedded, durable broker: one SQLite file.
    "sqlite": anybroker_sqlite as sqlite, ["sqlite"];
    /// Amazon SQS FIFO.
    "sqs": anybroker_sqs as sqs, ["sqs"];
    /// Apache Pulsar.
    "pulsar": anybroker_pulsar as pulsar, ["pulsar", "pulsar+ssl"];
    /// RabbitMQ.
    "rabbitmq": anybroker_rabbitmq as rabbitmq, ["amqp", "amqps"];
}

fn unavailable(url: &BrokerUrl) -> Error {
    match BACKENDS.iter().find(|entry| entry.schemes.contains(&url.scheme.as_str())) {
        Some(entry) => not_built_in(url, entry),
        None => unknown_scheme(url),
    }
}

fn not_built_in(url: &BrokerUrl, entry: &Entry) -> Error {
    let (scheme, feature) = (&url.scheme, entry.feature);
    let text =
        format!("{scheme}:// needs the Cargo feature `{feature}`, which this program was built without");
    let line =
        format!("in Cargo.toml: anybroker = {{ version = \"{VERSION}\", features = [\"{feature}\"] }}");
    Error::new(Kind::Unsupported, "connect", text).on(url.to_string()).advice(line)
}

/// The version that a dependency line names: what is compatible with this one.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

fn unknown_scheme(url: &BrokerUrl) -> Error {
    let known: Vec<_> = BACKENDS.iter().flat_map(|entry| entry.schemes).map(|s| format!("{s}://")).collect();
    let text = format!("no backend is known for {}://", url.scheme);
    Error::new(Kind::InvalidConfiguration, "connect", text)
        .on(url.to_string())
        .advice(format!("use one of: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_backends_agree_on_schemes() {
        for (feature, schemes) in own_schemes() {
            let entry = BACKENDS.iter().find(|entry| entry.feature == feature).unwrap();
            assert_eq!(entry.schemes, schemes, "{feature}");
        }
    }

    #[test]
    fn no_scheme_belongs_to_two_backends() {
        let mut all: Vec<_> = BACKENDS.iter().flat_map(|entry| entry.schemes).collect();
        all.sort();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
    }

    #[test]
    fn a_backend_that_is_not_built_in_names_the_line_to_write() {
        let url = "amqp://guest:hunter2@h".parse().unwrap();
        let entry = BACKENDS.iter().find(|entry| entry.feature == "rabbitmq").unwrap();
        let text = not_built_in(&url, entry).to_string();
        assert!(text.contains(r#"features = ["rabbitmq"]"#), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn an_unknown_scheme_lists_the_known_ones() {
        let error = unavailable(&"kafak://h:9092".parse().unwrap());
        assert_eq!(error.kind(), Kind::InvalidConfiguration);
        let text = error.to_string();
        assert!(
            text.contains("kafak://") && text.contains("kafka://") && text.contains("memory://"),
            "{text}"
        );
    }

    /// A backend is a folder, a feature, a line of the table and a line of the front page; all or none.
    #[test]
    fn every_folder_has_a_feature_a_line_and_a_word_on_the_front_page() {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = std::fs::read_to_string(here.join("Cargo.toml")).unwrap();
        let front_page = include_str!("lib.rs");
        let mut folders: Vec<String> = std::fs::read_dir(here.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().join("Cargo.toml").exists())
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(|name| name != "anybroker")
            .collect();
        let mut table: Vec<_> = BACKENDS.iter().map(|entry| entry.feature.to_owned()).collect();
        folders.sort();
        table.sort();
        assert_eq!(folders, table, "the folders and the table of backends");
        for name in folders {
            let feature = format!("{name} = [\"dep:anybroker-{name}\"");
            assert!(manifest.contains(&feature), "Cargo.toml has no feature {feature}");
            assert!(front_page.contains(&format!("//! | `{name}`")), "the front page does not list `{name}`");
        }
    }
}
