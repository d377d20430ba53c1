//! The connection's bytes, encrypted or not. TLS is rustls with aws-lc-rs, named here: neither this crate nor a
//! client library picks or installs a provider for the whole process.

use std::sync::Arc;

use anybroker_core::{Error, Kind, Result, TlsFiles};
use async_rs::Tokio;
use async_rs::traits::Reactor;
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, OwnedTLSConfig, RustlsConnector};
use lapin::uri::{AMQPScheme, AMQPUri};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::RabbitConfig;

/// lapin's TCP connection.
type Socket = <Tokio as Reactor>::TcpStream;

/// How to encrypt, if at all.
#[derive(Clone)]
pub(crate) struct Encryption(Option<RustlsConnector>);

impl Encryption {
    /// Reads the files, so that a renewed certificate counts from the next connection on.
    ///
    /// # Errors
    /// `InvalidConfiguration` names the file that does not read.
    pub(crate) async fn of(config: &RabbitConfig) -> Result<Self> {
        if !config.tls {
            return Ok(Encryption(None));
        }
        let files = config.tls_files.clone();
        let read = tokio::task::spawn_blocking(move || settings(&files)).await;
        let settings = read.map_err(|e| {
            Error::new(Kind::Unexpected, "connect", "the files of TLS could not be read").with_source(e)
        })??;
        Ok(Encryption(Some(RustlsConnector::from(settings))))
    }

    /// Connects to the host of `uri`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn open(&self, uri: &AMQPUri) -> std::io::Result<AsyncTcpStream<Socket>> {
        let runtime = lapin::runtime::default_runtime().map_err(std::io::Error::other)?;
        // lapin's own TLS would trust the system's authorities besides the one that is named.
        let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
        let stream = plain.connect_with_config_async(OwnedTLSConfig::default().as_ref(), &runtime).await?;
        match &self.0 {
            Some(connector) => stream.into_rustls(connector, &uri.authority.host).await,
            None => Ok(stream),
        }
    }
}

fn settings(files: &TlsFiles) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(authorities(files)?);
    let (Some(certificate), Some(key)) = (&files.certificate, &files.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&TlsFiles::read(key)?).map_err(|e| {
        let text = format!("{} has no private key that reads: {e}", key.display());
        Error::new(Kind::InvalidConfiguration, "connect", text).advice("it is a PEM file, not encrypted")
    })?;
    builder.with_client_auth_cert(chain, key).map_err(unusable)
}

fn unusable(error: rustls::Error) -> Error {
    Error::new(Kind::InvalidConfiguration, "connect", "TLS cannot be set up").with_source(error)
}

/// Those of `tls_ca` alone, or the system's.
fn authorities(files: &TlsFiles) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match &files.ca {
        Some(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|e| {
                    let text = format!("{} is no certificate authority that reads: {e}", path.display());
                    Error::new(Kind::InvalidConfiguration, "connect", text)
                })?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                let text = "this system has no certificate authorities to trust";
                return Err(Error::new(Kind::InvalidConfiguration, "connect", text)
                    .advice("name one by tls_ca=FILE, or install ca-certificates"));
            }
        }
    }
    Ok(store)
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = TlsFiles::read(path)?;
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(Error::new(
            Kind::InvalidConfiguration,
            "connect",
            format!("{} has no certificate in it", path.display()),
        )
        .advice("it is a PEM file: -----BEGIN CERTIFICATE-----")),
        Err(e) => Err(Error::new(
            Kind::InvalidConfiguration,
            "connect",
            format!("{} does not read: {e}", path.display()),
        )),
    }
}
