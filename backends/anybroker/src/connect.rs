//! Opening a broker by its URL.

use anybroker_core::{Broker, BrokerUrl, Error, Kind, Result};

use crate::backends;

/// The environment variable that [`connect_from_env`] reads.
pub const URL_VARIABLE: &str = "ANYBROKER_URL";

/// Opens the broker that `url` names: its scheme chooses the backend, its parameters configure it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let broker = anybroker::connect("memory://shop?partitions=4").await?;
/// assert!(anybroker::connect("memory://shop?partitons=4").await.is_err());
/// # Ok::<(), anybroker::Error>(()) }).unwrap();
/// ```
///
/// # Errors
/// `InvalidConfiguration` if the URL does not read, its scheme is unknown (the known ones are listed) or a parameter is
/// unknown; `Unsupported` if the backend's Cargo feature is off (it is named); otherwise what the backend's connecting
/// fails with: `Disconnected`, `TimedOut`, `PermissionDenied`. Every backend has a deadline for it.
///
/// # Cancel safety
/// Cancel safe.
pub async fn connect(url: &str) -> Result<Broker> {
    backends::open(&url.parse::<BrokerUrl>()?).await
}

/// Reads `url` as [`connect`] does, and connects to nothing: whether its backend is built in and takes its parameters.
///
/// ```
/// assert!(anybroker::check("memory://shop?partitions=4").is_ok());
/// let error = anybroker::check("memory://shop?partitons=4").unwrap_err();
/// assert!(error.to_string().contains("`partitons`"));
/// ```
///
/// # Errors
/// `InvalidConfiguration` and `Unsupported` as [`connect`].
pub fn check(url: &str) -> Result<()> {
    backends::check(&url.parse::<BrokerUrl>()?)
}

/// Opens the broker that the environment variable `ANYBROKER_URL` names, or `default` if it is unset or empty.
///
/// # Errors
/// As [`connect`]; `InvalidConfiguration` if the variable is not UTF-8.
///
/// # Cancel safety
/// Cancel safe.
pub async fn connect_from_env(default: &str) -> Result<Broker> {
    match std::env::var(URL_VARIABLE) {
        Ok(url) if !url.is_empty() => connect(&url).await,
        Ok(_) | Err(std::env::VarError::NotPresent) => connect(default).await,
        Err(std::env::VarError::NotUnicode(_)) => {
            let text = format!("the environment variable {URL_VARIABLE} is not UTF-8");
            Err(Error::new(Kind::InvalidConfiguration, "connect", text)
                .advice("set it to a URL, or unset it"))
        }
    }
}
