//! TLS is rustls with aws-lc-rs, named here: no provider is installed for the whole process.

use std::pin::Pin;
use std::sync::Arc;

use anybroker_core::{Error, Kind, Result, TlsFiles};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection's bytes, encrypted or not.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Bytes for T {}

/// Connects to a host.
///
/// # Errors
/// `InvalidConfiguration` for files that do not read; what connecting fails with.
///
/// # Cancel safety
/// Cancel safe.
pub(crate) async fn connect(host: &str, port: u16, tls: Option<&TlsFiles>) -> Result<Pin<Box<dyn Bytes>>> {
    // Addresses of IPv6 are resolved without their brackets.
    let host = host.trim_matches(['[', ']']);
    let socket = TcpStream::connect((host, port)).await.map_err(|error| failed(host, port, error))?;
    socket.set_nodelay(true).map_err(|error| failed(host, port, error))?;
    let Some(files) = tls else { return Ok(Box::pin(socket)) };
    let settings = settings(files.clone()).await?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| {
        Error::new(Kind::InvalidConfiguration, "connect", format!("`{host}` is no name of a host"))
            .with_source(error)
    })?;
    let connector = TlsConnector::from(Arc::new(settings));
    let stream = connector.connect(name, socket).await.map_err(|error| failed(host, port, error))?;
    Ok(Box::pin(stream))
}

fn failed(host: &str, port: u16, error: std::io::Error) -> Error {
    if let Some(refused) = anybroker_core::kit::tls_failure("connect", &error.to_string()) {
        return refused.on(format!("{host}:{port}"));
    }
    Error::new(Kind::Disconnected, "connect", "the connection could not be made")
        .on(format!("{host}:{port}"))
        .with_source(error)
        .with_fate(anybroker_core::Fate::NotApplied)
}

async fn settings(files: TlsFiles) -> Result<ClientConfig> {
    let read = tokio::task::spawn_blocking(move || read(&files)).await;
    read.map_err(|error| {
        Error::new(Kind::Unexpected, "connect", "the files of TLS could not be read").with_source(error)
    })?
}

fn read(files: &TlsFiles) -> Result<ClientConfig> {
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
    let Some(path) = &files.ca else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            let text = "this system has no certificate authorities to trust";
            return Err(Error::new(Kind::InvalidConfiguration, "connect", text)
                .advice("name one by tls_ca=FILE, or install ca-certificates"));
        }
        return Ok(store);
    };
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|e| {
            let text = format!("{} is no certificate authority that reads: {e}", path.display());
            Error::new(Kind::InvalidConfiguration, "connect", text)
        })?;
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
