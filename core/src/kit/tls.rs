//! What a client library says of a failed TLS handshake, in the contract's terms.

use std::error::Error as StdError;

use crate::error::{Error, Fate, Kind};

struct Failure {
    /// What the libraries say: rustls, and OpenSSL under librdkafka.
    said: &'static [&'static str],
    kind: Kind,
    text: &'static str,
    advice: &'static str,
}

/// The first that fits counts, so what is more exact comes first.
const FAILURES: [Failure; 6] = [
    Failure {
        said: &["not valid for name"],
        kind: Kind::InvalidConfiguration,
        text: "the server's certificate failed verification: it is for another name",
        advice: "connect by a name that the certificate is for",
    },
    Failure {
        said: &["certificate expired", "certificate has expired"],
        kind: Kind::InvalidConfiguration,
        text: "the server's certificate failed verification: it has expired",
        advice: "renew the server's certificate, and check this machine's clock",
    },
    Failure {
        said: &["UnknownIssuer", "unable to get local issuer"],
        kind: Kind::InvalidConfiguration,
        text: "the server's certificate failed verification: no trusted authority has signed it",
        advice: "name the certificate authority to trust: tls_ca=FILE",
    },
    Failure {
        said: &["invalid peer certificate", "certificate verify failed"],
        kind: Kind::InvalidConfiguration,
        text: "the server's certificate failed verification",
        advice: "name the certificate authority to trust by tls_ca=FILE; if it is named, the certificate has expired or is \
                 for another name",
    },
    Failure {
        said: &[
            "alert: CertificateRequired",
            "alert: BadCertificate",
            "alert: UnknownCA",
            "alert: CertificateUnknown",
            "alert: CertificateExpired",
            "alert: CertificateRevoked",
            "alert: UnsupportedCertificate",
            "alert certificate required",
            "alert bad certificate",
            "alert unknown ca",
            "alert certificate unknown",
            "alert certificate expired",
            "alert certificate revoked",
            "client SSL authentication might be required",
        ],
        kind: Kind::PermissionDenied,
        text: "the server refused the client's certificate, or misses one",
        advice: "give one that it trusts by tls_certificate=FILE and tls_key=FILE",
    },
    Failure {
        said: &["InvalidContentType", "wrong version number", "connecting to a PLAINTEXT broker listener"],
        kind: Kind::InvalidConfiguration,
        text: "the server does not speak TLS there",
        advice: "check the port, or leave TLS out of the URL's scheme",
    },
];

/// What `said`, the text of a client library's error, means if it is about TLS: whose certificate was refused and
/// what to do. Trying again does not help, and nothing was applied.
///
/// ```
/// use anybroker_core::{Kind, kit::tls_failure};
/// let error = tls_failure("connect", "invalid peer certificate: UnknownIssuer").unwrap();
/// assert_eq!(error.kind(), Kind::InvalidConfiguration);
/// assert!(error.to_string().contains("tls_ca=FILE"));
/// assert!(tls_failure("connect", "connection refused").is_none());
/// ```
pub fn tls_failure(operation: &'static str, said: &str) -> Option<Error> {
    let failure = FAILURES.iter().find(|failure| failure.said.iter().any(|part| said.contains(part)))?;
    let text = format!("{} ({})", failure.text, said.trim());
    let error = Error::new(failure.kind, operation, text).advice(failure.advice);
    Some(error.with_fate(Fate::NotApplied).with_retryable(false))
}

/// An error's text with those of its causes, as far as they say something new.
pub fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_library_s_words_are_understood() {
        for (said, kind, part) in [
            ("invalid peer certificate: UnknownIssuer", Kind::InvalidConfiguration, "tls_ca="),
            ("invalid peer certificate: BadSignature", Kind::InvalidConfiguration, "tls_ca="),
            ("certificate not valid for name \"h\"", Kind::InvalidConfiguration, "another name"),
            ("certificate expired: verification time 2", Kind::InvalidConfiguration, "clock"),
            ("0A000086:SSL routines::certificate verify failed", Kind::InvalidConfiguration, "tls_ca="),
            ("received fatal alert: CertificateRequired", Kind::PermissionDenied, "tls_certificate="),
            ("tlsv13 alert certificate required", Kind::PermissionDenied, "tls_certificate="),
            ("error:0A00010B:SSL routines::wrong version number", Kind::InvalidConfiguration, "port"),
        ] {
            let error = tls_failure("connect", said).unwrap();
            let text = error.to_string();
            assert_eq!((error.kind(), error.is_retryable()), (kind, false), "{text}");
            assert!(text.contains(part) && text.contains(said), "{text}");
        }
    }

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::other("deep");
        let outer = Error::new(Kind::Disconnected, "connect", "shallow").with_source(inner);
        assert_eq!(causes(&outer), outer.to_string());
        assert!(causes(&outer).contains("deep"));
    }
}
