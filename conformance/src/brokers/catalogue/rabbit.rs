//! What all RabbitMQ versions have in common.

use std::{collections::BTreeMap, fs, path::Path};

use crate::brokers::{
    Error,
    certificates::{self, PASSWORD, USER},
    ports::Ports,
    probe,
    site::{Site, render},
};

const CONFIG: &str = include_str!("rabbit/rabbitmq.conf");
const DEFINITIONS: &str = include_str!("rabbit/definitions.json");
const PLUGINS: &str =
    "[rabbitmq_management,rabbitmq_consistent_hash_exchange,rabbitmq_auth_mechanism_ssl].\n";
/// `guest:guest`.
const LOGIN: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";
/// Where Debian's packages put it.
pub(super) const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const LIBRARIES: &str = "usr/lib/rabbitmq/lib";

pub(super) fn url(ports: &Ports) -> String {
    format!("amqp://guest:guest@127.0.0.1:{}", ports.get("client"))
}

pub(super) fn management_url(ports: &Ports) -> String {
    format!("http://127.0.0.1:{}", ports.get("management"))
}

pub(super) fn secure_urls(ports: &Ports, files: &Path) -> BTreeMap<String, String> {
    let (port, files) = (ports.get("secure"), files.display());
    let password = format!("tls_ca={files}/ca.pem&password_file={files}/password");
    let certificate =
        format!("tls_ca={files}/ca.pem&tls_certificate={files}/client.pem&tls_key={files}/client.key");
    BTreeMap::from([
        ("password".to_owned(), format!("amqps://{USER}@127.0.0.1:{port}?{password}")),
        ("certificate".to_owned(), format!("amqps://127.0.0.1:{port}?auth=external&{certificate}")),
    ])
}

/// AMQP answers, and so does the management interface, which comes last.
pub(super) async fn probe(ports: &Ports) -> Result<(), String> {
    probe::amqp::answers(ports.get("client")).await?;
    probe::http::succeeds(ports.get("management"), "/api/overview", Some(LOGIN)).await
}

/// The version installed under this root, from the name of its library's folder.
pub(super) fn version(root: &Path) -> Option<String> {
    let libraries = fs::read_dir(root.join(LIBRARIES)).ok()?;
    let names = libraries.flatten().filter_map(|folder| folder.file_name().into_string().ok());
    names.into_iter().find_map(|name| Some(name.strip_prefix("rabbitmq_server-")?.to_owned()))
}

/// Writes the configuration into the data folder, where it is also in reach of a changed root. `data` and `tls` are
/// where the broker sees the folders.
pub(super) fn configure(site: &Site, ports: &Ports, data: &Path, tls: &Path) -> Result<(), Error> {
    certificates::ensure(&site.tls())?;
    site.create(&site.data())?;
    let ports = ports.iter().map(|(purpose, port)| (purpose, port.to_string()));
    let definitions = data.join("definitions.json").display().to_string();
    let values = ports.chain([("tls", tls.display().to_string()), ("definitions", definitions)]);
    site.write("data/rabbitmq.conf", &render(CONFIG, values))?;
    site.write("data/enabled_plugins", PLUGINS)?;
    let login = [("user", USER.to_owned()), ("password", PASSWORD.to_owned())];
    certificates::write_private(&site.data().join("definitions.json"), &render(DEFINITIONS, login))?;
    Ok(())
}

/// The environment of a node whose data folder is `data`. Its port mapper (epmd) is its own, so that any number
/// of nodes run side by side under one name; without input the recorded process is Erlang's, not a shell's.
pub(super) fn environment(data: &Path, ports: &Ports) -> Vec<(&'static str, String)> {
    let inside = |name: &str| data.join(name).display().to_string();
    vec![
        ("HOME", data.display().to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
        ("ERL_EPMD_PORT", ports.get("epmd").to_string()),
        ("RABBITMQ_NODENAME", "anybroker@localhost".into()),
        ("RABBITMQ_DIST_PORT", ports.get("distribution").to_string()),
        ("RABBITMQ_MNESIA_BASE", inside("mnesia")),
        ("RABBITMQ_LOG_BASE", inside("log")),
        ("RABBITMQ_LOGS", "-".into()),
        ("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", inside("enabled_plugins")),
        ("RABBITMQ_CONF_ENV_FILE", "/dev/null".into()),
        ("RABBITMQ_ALLOW_INPUT", "1".into()),
        ("RABBITMQ_SERVER_START_ARGS", "-noinput".into()),
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG.into()),
    ]
}

/// Listens on the loopback only, and does not burn processor time waiting for work.
const ERLANG: &str = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::native::tests::site;

    #[test]
    fn the_configuration_listens_on_the_ports_given() {
        let (site, _folder) = site("rabbitmq");
        let ports = Ports::from([("client", 1), ("management", 2), ("secure", 3)]);
        configure(&site, &ports, Path::new("/d"), Path::new("/t")).unwrap();
        let config = fs::read_to_string(site.data().join("rabbitmq.conf")).unwrap();
        assert!(config.contains("listeners.tcp.default = 127.0.0.1:1\n"), "{config}");
        assert!(config.contains("management.tcp.port = 2\n"), "{config}");
        assert!(config.contains("listeners.ssl.default = 127.0.0.1:3\n"), "{config}");
        assert!(config.contains("certfile = /t/server.pem\n"), "{config}");
        assert!(!config.contains('@'), "{config}");
        let definitions = fs::read_to_string(site.data().join("definitions.json")).unwrap();
        assert!(!definitions.contains('@'), "{definitions}");
    }

    #[test]
    fn the_version_is_the_installed_one() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(version(root.path()), None);
        fs::create_dir_all(root.path().join(LIBRARIES).join("rabbitmq_server-3.10.8")).unwrap();
        assert_eq!(version(root.path()), Some("3.10.8".into()));
    }
}
