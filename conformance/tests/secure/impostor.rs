//! Certificates that a client must not accept, and a server that shows them.

use std::path::PathBuf;

use anybroker::Kind;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::Outcome;
use crate::cases::refused;
use crate::endpoint::Endpoint;

/// A certificate authority of one test, whose file is in `folder`.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// A server's certificate and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = params("an authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for this name or address.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        self.sign(params(name, &[name]))
    }

    fn expired(&self) -> Identity {
        let mut params = params("127.0.0.1", &["127.0.0.1"]);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.der().clone(), key: key.serialize_der() }
    }
}

impl Identity {
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()))
    }
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2049, 1, 1));
    params
}

/// Behind a handshake that fails there need not be anybody.
const NOBODY: u16 = 1;

/// A server with a certificate for another name, or one that has expired, is refused, although the authority is trusted.
/// `url` is that of a port and an authority's file; `says` are the words for either.
pub(crate) async fn bad_certificates(
    greeting: &'static str,
    url: impl Fn(u16, &str) -> String,
    says: [&str; 2],
) -> Outcome {
    let authority = Authority::new();
    let ca = authority.file().display().to_string();
    for (identity, word) in
        [(authority.identity("elsewhere.example"), says[0]), (authority.expired(), says[1])]
    {
        let endpoint = Endpoint::open(&identity, NOBODY, greeting).await;
        let words = ["certificate failed verification", word];
        refused(&url(endpoint.port, &ca), Kind::InvalidConfiguration, &words).await?;
    }
    Ok(())
}
