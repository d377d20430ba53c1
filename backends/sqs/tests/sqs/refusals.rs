//! Credentials and servers that refuse, as Amazon's answers are documented; ElasticMQ takes any credentials.

use anybroker_core::{BrokerUrl, Kind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every request with one refusal, and says at which address.
async fn refusing(status: &'static str, code: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = vec![0; 16 * 1024];
                while stream.read(&mut bytes).await.is_ok_and(|n| n > 0) {
                    let body =
                        format!("{{\"__type\":\"com.amazon.coral.service#{code}\",\"message\":\"no\"}}");
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}")
}

async fn connect(url: &str) -> Result<()> {
    let url: BrokerUrl = url.parse().unwrap();
    anybroker_sqs::connect(&url).await.map(|_| ())
}

#[tokio::test]
async fn wrong_credentials_are_told_from_missing_rights() {
    for (status, code, part) in [
        ("403 Forbidden", "InvalidClientTokenId", "access key"),
        ("403 Forbidden", "SignatureDoesNotMatch", "access key"),
        ("400 Bad Request", "ExpiredToken", "access key"),
        ("403 Forbidden", "RequestTimeTooSkewed", "clock"),
    ] {
        let endpoint = refusing(status, code).await;
        let error = connect(&format!("sqs://AKIA:hunter2@r?endpoint={endpoint}")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::PermissionDenied, "{error}");
        assert!(error.to_string().contains(part) && !error.to_string().contains("hunter2"), "{error}");
    }
    // Whoever may not list queues may still use some.
    let endpoint = refusing("403 Forbidden", "AccessDeniedException").await;
    connect(&format!("sqs://AKIA:hunter2@r?endpoint={endpoint}")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = connect(&format!("sqs://us-east-1?endpoint={endpoint}")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Disconnected, "{error}");
    assert!(error.to_string().contains(&endpoint), "{error}");
}

#[tokio::test]
async fn a_missing_profile_is_named_in_place_of_a_silent_default() {
    let error =
        connect("sqs://us-east-1?endpoint=http://127.0.0.1:1&profile=no-such-profile").await.unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
}
