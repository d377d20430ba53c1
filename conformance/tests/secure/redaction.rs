//! Secrets in every place of every backend's URL, looked for in everything that can be printed of it.
//!
//! Backends and the names of their secrets are found out from the errors that list them, so that one that is added is
//! tested too.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::time::Duration;

use anybroker::{BrokerUrl, Error, backend};
use libtest_mimic::{Failed, Trial};

use crate::secrets;

const SECRET: &str = "hunter2";
/// Where nobody listens. SQS takes it as an endpoint.
const DEAD: &str = "127.0.0.1:1";

pub(crate) fn trials() -> Vec<Trial> {
    schemes()
        .into_iter()
        .map(|scheme| Trial::test(format!("redaction::{scheme}"), move || check(&scheme)))
        .collect()
}

/// All that there are, as the error for an unknown one lists them.
fn schemes() -> Vec<String> {
    let error = block_on(anybroker::connect("nonsense://h")).unwrap_err().to_string();
    let listed = error.split_once("use one of: ").expect("the error lists the schemes").1;
    listed.split(", ").map(|scheme| scheme.trim_end_matches("://").to_owned()).collect()
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let output = runtime.block_on(future);
    runtime.shutdown_timeout(Duration::from_secs(1));
    output
}

fn check(scheme: &str) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET)?;
    let rest = match scheme {
        "memory" => "name".to_owned(),
        "sqs" => "us-east-1".to_owned(),
        "sqlite" => format!("{}/broker.db", folder.path().display()),
        _ => DEAD.to_owned(),
    };
    let mut urls = unreadable(scheme);
    for login in ["", "user:hunter2@"] {
        for parameter in parameters(scheme, &rest, &file.display().to_string())? {
            urls.push(format!("{scheme}://{login}{rest}?{parameter}"));
        }
    }
    for url in urls {
        printed(&url).map_err(|why| format!("{}: {why}", url.replace(SECRET, "[SECRET]")))?;
    }
    Ok(())
}

/// What does not even parse.
fn unreadable(scheme: &str) -> Vec<String> {
    [
        "user:hunter2@",
        "user:hunter2@h:port",
        "user:hunter2@h:1/%ff",
        "user:hunter2%ff@h:1",
        "h:1?password=hunter2%ff",
    ]
    .map(|rest| format!("{scheme}://{rest}"))
    .into()
}

/// Every parameter that takes a secret, in every way, and those that may hold one although nobody knows them.
fn parameters(scheme: &str, rest: &str, file: &str) -> Result<Vec<String>, Failed> {
    // Each names one thing that is wrong or that cuts the waiting short.
    let mut all: Vec<String> = ["", "no_such_parameter=hunter2", "partitions=1&partitions=2&token=hunter2"]
        .map(str::to_owned)
        .into();
    all.extend(["ssl.key.password", "sasl.password", "nonsense"].map(|name| format!("x.{name}=hunter2")));
    for name in secret_names(scheme, rest)? {
        for way in [format!("{name}=hunter2"), format!("{name}_file={file}"), format!("{name}_env=NO_SUCH")] {
            all.extend([way.clone(), format!("{way}&{name}=hunter2"), format!("{way}&no_such=hunter2")]);
        }
    }
    Ok(all)
}

/// A secret is a parameter that is also read from a file: `name`, `name_file`.
fn secret_names(scheme: &str, rest: &str) -> Result<BTreeSet<String>, Failed> {
    let url: BrokerUrl = format!("{scheme}://{rest}?no_such_parameter=1").parse()?;
    let error = block_on(anybroker::connect(&format!("{scheme}://{rest}?no_such_parameter=1")));
    let text = error.err().ok_or("an unknown parameter is taken")?.to_string();
    let known =
        text.split_once("known are: ").ok_or_else(|| format!("{url}: known ones are not listed: {text}"))?.1;
    let files = known.split(", ").filter_map(|name| name.trim().strip_suffix("_file"));
    Ok(files.map(str::to_owned).collect())
}

fn printed(url: &str) -> Result<(), String> {
    if let Ok(parsed) = url.parse::<BrokerUrl>() {
        secrets::none_in(&format!("{parsed} {parsed:?} {:?}", parsed.parameters()))?;
        configurations(&parsed)?;
    }
    let bounded = async {
        match tokio::time::timeout(Duration::from_secs(20), anybroker::connect(&hurried(url))).await {
            Ok(Ok(broker)) => {
                let printed = format!("{broker:?}");
                let _ = broker.close().await;
                secrets::none_in(&printed)
            }
            Ok(Err(error)) => secrets::none_in(&all_of(&error)),
            Err(_) => Err("connecting hangs".to_owned()),
        }
    };
    block_on(bounded)
}

/// With the deadlines of each backend cut short.
fn hurried(url: &str) -> String {
    let deadlines = match url.split_once("://").map_or("", |(scheme, _)| scheme) {
        "kafka" | "kafka+ssl" => "connect_timeout=1s",
        "amqp" | "amqps" | "nats" | "tls" | "nats+core" => "deadline=1s",
        "sqs" => "deadline=1s&endpoint=http://127.0.0.1:1",
        _ => return url.to_owned(),
    };
    format!("{url}{}{deadlines}", if url.contains('?') { "&" } else { "?" })
}

fn configurations(url: &BrokerUrl) -> Result<(), String> {
    let shown = [
        shown(backend::kafka::KafkaConfig::from_url(url)),
        shown(backend::rabbitmq::RabbitConfig::from_url(url)),
        shown(backend::nats::NatsConfig::from_url(url)),
        shown(backend::sqs::SqsConfig::from_url(url)),
    ];
    shown.iter().try_for_each(|text| secrets::none_in(text))
}

fn shown<T: std::fmt::Debug>(config: Result<T, Error>) -> String {
    config.map_or_else(|error| all_of(&error), |config| format!("{config:?} {config:#?}"))
}

/// An error with everything beneath it.
fn all_of(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(" {cause} {cause:?}"));
        next = cause.source();
    }
    text
}
