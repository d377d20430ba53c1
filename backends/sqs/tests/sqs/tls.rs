//! An endpoint with TLS whose certificate a private authority has signed: ElasticMQ behind a proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use anybroker_core::{BrokerUrl, Finding, Kind, Message, PublisherExt, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{clean, connect, declared, publisher, server};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Ends TLS with a certificate of the authority's, and passes on to the server.
async fn proxy(authority: &CertifiedIssuer<'static, KeyPair>, server: SocketAddr) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, authority).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that trusts another authority ends here.
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

async fn open(address: SocketAddr, ca: Option<&std::path::Path>) -> Result<anybroker_core::Broker> {
    let ca = ca.map(|path| format!("&tls_ca={}", path.display())).unwrap_or_default();
    let url: BrokerUrl =
        format!("sqs://id:hunter2@us-east-1?endpoint=https://{address}{ca}").parse().unwrap();
    anybroker_sqs::connect(&url).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_and_others_are_not() {
    let (ours, other) = (authority(), authority());
    let address = proxy(&ours, server()).await;
    let folder = std::env::temp_dir();
    let write = |name: &str, pem: String| {
        let path = folder.join(format!("anybroker-sqs-{}-{name}", std::process::id()));
        std::fs::write(&path, pem).unwrap();
        path
    };
    let (ours, other) = (write("ca.pem", ours.pem()), write("other.pem", other.pem()));
    for refused in [open(address, Some(&other)).await, open(address, None).await] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidConfiguration, "{error}");
        let text = error.to_string();
        assert!(text.contains("tls_ca") && !text.contains("hunter2"), "{text}");
    }
    let plain = connect("wait=1s").await;
    let topic = declared(&plain, "tls").await;
    let secure = open(address, Some(&ours)).await.unwrap();
    publisher(&secure, &topic).await.publish(Message::new("sealed").with_key("k")).await.unwrap();
    let found = secure.admin().diagnose(Some(&topic)).await.unwrap();
    assert!(found.iter().all(|diagnosis| diagnosis.finding < Finding::Failure), "{found:#?}");
    let tls = found.iter().find(|diagnosis| diagnosis.subject == "encryption").unwrap();
    assert!(tls.finding == Finding::Fine && tls.text.contains("TLS"), "{tls:?}");
    secure.close().await.unwrap();
    clean(&plain, &topic).await;
    for file in [ours, other] {
        std::fs::remove_file(file).unwrap();
    }
}
