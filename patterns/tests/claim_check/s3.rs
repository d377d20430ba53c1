//! On a server that speaks the protocol of Amazon S3, found by `ANYBROKER_S3_URL` (`http://KEY:SECRET@HOST:PORT/BUCKET`).
//! `ANYBROKER_TEST_EXCLUDE=s3` leaves it out.

use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Error, Kind, Message, MessageId};
use anybroker_patterns::claim_check::object_store::aws::{AmazonS3, AmazonS3Builder};
use anybroker_patterns::claim_check::object_store::{ObjectStore as _, ObjectStoreExt as _, path::Path};
use anybroker_patterns::claim_check::{ClaimCheck, Collected};
use futures::{StreamExt as _, TryStreamExt as _};

use super::round_trip::through;
use super::{THRESHOLD, memory, payload, received};

/// The server's; none if it is left out by name.
fn server() -> Option<AmazonS3Builder> {
    let excluded = std::env::var("ANYBROKER_TEST_EXCLUDE").unwrap_or_default();
    if excluded.split(',').any(|name| name == "s3") {
        eprintln!("not run: s3 is excluded by ANYBROKER_TEST_EXCLUDE");
        return None;
    }
    let default = || "http://anybroker:anybroker@127.0.0.1:9000/claims".to_owned();
    let url = std::env::var("ANYBROKER_S3_URL").unwrap_or_else(|_| default());
    let (login, place) = url.strip_prefix("http://").unwrap().split_once('@').unwrap();
    let ((key, secret), (host, bucket)) = (login.split_once(':').unwrap(), place.split_once('/').unwrap());
    let builder = AmazonS3Builder::new().with_region("us-east-1").with_allow_http(true);
    let builder = builder.with_endpoint(format!("http://{host}")).with_bucket_name(bucket);
    Some(builder.with_access_key_id(key).with_secret_access_key(secret))
}

/// A folder of its own in the bucket.
fn own(builder: AmazonS3Builder) -> (ClaimCheck, Arc<AmazonS3>, Path) {
    let store = Arc::new(builder.build().unwrap());
    let prefix = format!("claims-{}", MessageId::new());
    let claims = ClaimCheck::new(store.clone()).threshold(THRESHOLD).prefix(&prefix).unwrap();
    (claims, store, Path::from(prefix))
}

/// The only blob.
async fn blob(store: &AmazonS3, prefix: &Path) -> Path {
    let found: Vec<_> = store.list(Some(prefix)).try_collect().await.unwrap();
    assert_eq!(found.len(), 1);
    found[0].location.clone()
}

#[tokio::test]
async fn what_goes_in_comes_out() {
    let Some(server) = server() else { return };
    let (claims, ..) = own(server);
    through(&claims, &memory().await).await;
    let large = Message::new(payload(20 << 20));
    let delivery = received(claims.check_in(large.clone()).await.unwrap()).await;
    assert_eq!(claims.check_out(&delivery).await.unwrap(), large.payload);
}

#[tokio::test]
async fn what_was_altered_or_deleted_is_told() {
    let Some(server) = server() else { return };
    let (claims, store, prefix) = own(server);
    let message = claims.check_in(Message::new(payload(5_000))).await.unwrap();
    let (blob, delivery) = (blob(&store, &prefix).await, received(message).await);
    let mut altered = payload(5_000);
    altered[4_321] ^= 1;
    store.put(&blob, altered.into()).await.unwrap();
    let error = claims.check_out(&delivery).await.unwrap_err();
    assert!(error.kind() == Kind::Decode && error.to_string().contains("SHA-256"), "{error}");
    store.delete(&blob).await.unwrap();
    let error = claims.check_out(&delivery).await.unwrap_err();
    assert!(error.kind() == Kind::NotFound && error.to_string().contains("collected too early"), "{error}");
}

#[tokio::test]
async fn more_than_a_listing_holds_is_collected() {
    // A listing has a thousand objects, and so has a request to delete.
    const MANY: u64 = 1_200;
    let Some(server) = server() else { return };
    let (claims, store, prefix) = own(server);
    let all = futures::stream::iter(0..MANY).map(|_| claims.check_in(Message::new(payload(2_000))));
    all.buffer_unordered(16).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(claims.collect(Duration::from_secs(3_600)).await.unwrap(), Collected::default());
    let collected = Collected { deleted: MANY, bytes: MANY * 2_000, foreign: 0 };
    assert_eq!(claims.collect(Duration::ZERO).await.unwrap(), collected);
    assert_eq!(store.list(Some(&prefix)).count().await, 0);
}

async fn refusal(builder: AmazonS3Builder) -> Error {
    let claims = own(builder).0.timeout(Duration::from_secs(5));
    claims.check_in(Message::new(payload(5_000))).await.unwrap_err().into()
}

#[tokio::test]
async fn what_is_wrong_with_the_store_is_told() {
    let Some(server) = server() else { return };
    let error = refusal(server.clone().with_secret_access_key("another")).await;
    assert!(error.kind() == Kind::PermissionDenied && !error.to_string().contains("another"), "{error}");
    let error = refusal(server.clone().with_bucket_name("nowhere")).await;
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refusal(server.with_endpoint(format!("http://{closed}"))).await;
    assert!(matches!(error.kind(), Kind::Disconnected | Kind::TimedOut) && error.is_retryable(), "{error}");
}
