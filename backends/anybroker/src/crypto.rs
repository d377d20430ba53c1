//! The TLS provider of the process.

/// Makes aws-lc-rs the TLS provider of this process (rustls's default) unless it has one already.
///
/// Programs call it first thing in `main` if they use TLS beside anybroker: where a program's dependencies build in two
/// providers, rustls cannot choose, and its first use panics. Everything of anybroker takes aws-lc-rs; no backend
/// chooses for the process. Kafka uses the system's OpenSSL and is not concerned. Without a backend that uses rustls this
/// does nothing.
///
/// ```
/// anybroker::install_default_crypto();
/// anybroker::install_default_crypto(); // Once more does no harm.
/// ```
pub fn install_default_crypto() {
    #[cfg(any(feature = "nats", feature = "pulsar", feature = "rabbitmq", feature = "sqs"))]
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may have been faster, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

#[cfg(all(test, any(feature = "nats", feature = "pulsar", feature = "rabbitmq", feature = "sqs")))]
mod tests {
    #[test]
    fn the_process_has_a_provider_afterwards() {
        super::install_default_crypto();
        super::install_default_crypto();
        let provider = rustls::crypto::CryptoProvider::get_default().unwrap();
        assert!(format!("{provider:?}").contains("AwsLc"), "{provider:?}");
    }
}
