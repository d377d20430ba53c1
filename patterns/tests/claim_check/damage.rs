//! Blobs that are missing, cut, altered or too large, and references that lie.

use std::path::PathBuf;

use anybroker_core::{Error, Fate, Kind, Message};
use anybroker_patterns::claim_check::ClaimCheck;

use super::{files, in_files, payload, received};

/// What a receiver is told after `damage` to the blob.
async fn after(damage: impl FnOnce(PathBuf)) -> Error {
    let (claims, directory) = in_files();
    let message = claims.check_in(Message::new(payload(5_000)).with_id("m-1")).await.unwrap();
    let blob = files(directory.path()).pop().unwrap();
    let name = blob.file_name().unwrap().to_str().unwrap().to_owned();
    damage(blob);
    let error = claims.check_out(received(message).await.record()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("message `m-1`") && text.contains(&name), "{text}");
    assert!(!error.is_retryable(), "{text}");
    error
}

#[tokio::test]
async fn a_missing_blob() {
    let error = after(|blob| std::fs::remove_file(blob).unwrap()).await;
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("collected too early"), "{error}");
}

#[tokio::test]
async fn a_blob_cut_short() {
    let cut = |blob| std::fs::write(blob, &payload(5_000)[..4_999]).unwrap();
    let error = after(cut).await;
    assert_eq!(error.kind(), Kind::Decode);
    assert!(error.to_string().contains("4999 bytes, not 5000"), "{error}");
}

#[tokio::test]
async fn a_blob_altered_in_one_bit() {
    let error = after(|blob| {
        let mut bytes = payload(5_000);
        bytes[4_321] ^= 1;
        std::fs::write(blob, bytes).unwrap();
    });
    let error = error.await;
    assert_eq!(error.kind(), Kind::Decode);
    assert!(error.to_string().contains("SHA-256"), "{error}");
}

/// What a receiver is told of a message with these attributes.
async fn forged(claims: &ClaimCheck, attributes: &[(&'static str, &str)]) -> Error {
    let mut message = Message::new("").with_id("m-2");
    for (name, value) in attributes {
        message = message.with_extension(*name, *value);
    }
    claims.check_out(received(message).await.record()).await.unwrap_err()
}

#[tokio::test]
async fn a_forged_size_takes_no_memory() {
    let (claims, directory) = in_files();
    let blob = "claims/2026-01-01/0190b5f0-0000-7000-8000-000000000001";
    std::fs::create_dir_all(directory.path().join("claims/2026-01-01")).unwrap();
    // Ten gigabytes that take no room on the disk.
    std::fs::File::create(directory.path().join(blob)).unwrap().set_len(10 << 30).unwrap();
    let hash = "00".repeat(32);
    let size = (10u64 << 30).to_string();
    let honest = [("dataref", blob), ("datarefhash", &*hash), ("datarefsize", &*size)];
    assert_eq!(forged(&claims, &honest).await.kind(), Kind::TooLarge);
    let lies = [("dataref", blob), ("datarefhash", &*hash), ("datarefsize", "5000")];
    let error = forged(&claims, &lies).await;
    assert!(error.kind() == Kind::Decode && error.to_string().contains("not 5000"), "{error}");
}

#[tokio::test]
async fn a_reference_leads_nowhere_else() {
    let (claims, directory) = in_files();
    std::fs::write(directory.path().join("secret"), "s").unwrap();
    let hash = "00".repeat(32);
    for location in
        ["secret", "claims", "claims/../secret", "/etc/passwd", "https://example.org/x", "", "claimsx/y"]
    {
        let error =
            forged(&claims, &[("dataref", location), ("datarefhash", &hash), ("datarefsize", "1")]).await;
        assert_eq!(error.kind(), Kind::Decode, "{location}: {error}");
        assert!(error.to_string().contains("no blob below `claims`"), "{error}");
    }
}

#[tokio::test]
async fn a_reference_that_lacks_something() {
    let (claims, _directory) = in_files();
    let location = ("dataref", "claims/2026-01-01/x");
    let cases: [(&[_], &str); 3] = [
        (&[location], "datarefhash"),
        (&[location, ("datarefhash", "00")], "datarefsize"),
        (&[location, ("datarefhash", "00"), ("datarefsize", "-1")], "no size"),
    ];
    for (attributes, expected) in cases {
        let error = forged(&claims, attributes).await;
        assert_eq!(error.kind(), Kind::Decode);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_payload_over_the_maximum_is_not_uploaded() {
    let (claims, directory) = in_files();
    let failed = claims.maximum(4_999).check_in(Message::new(payload(5_000))).await.unwrap_err();
    assert_eq!(failed.error().kind(), Kind::TooLarge);
    assert_eq!(failed.message().payload.len(), 5_000);
    assert_eq!(files(directory.path()).len(), 0);
}

#[tokio::test]
async fn a_store_that_is_away_hands_the_message_back() {
    let (claims, directory) = in_files();
    // A file where the folder should be.
    std::fs::write(directory.path().join("claims"), "").unwrap();
    let failed = claims.check_in(Message::new(payload(5_000)).with_id("m-3")).await.unwrap_err();
    let error = failed.error();
    assert_eq!((error.kind(), error.fate()), (Kind::Disconnected, Fate::NotApplied), "{error}");
    assert!(error.to_string().contains("m-3") && error.is_retryable(), "{error}");
    assert_eq!(failed.message().payload.len(), 5_000);
}
