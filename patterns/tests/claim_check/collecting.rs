//! Blobs that nobody needs any more.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anybroker_core::{Message, PublisherExt as _};
use anybroker_patterns::claim_check::Collected;

use super::{files, first, in_files, in_memory, memory, payload, publisher, received};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn an_upload_whose_publish_failed_is_collected_later() {
    let (claims, directory) = in_files();
    let broker = memory().await;
    let closed = publisher(&broker).await;
    closed.close().await.unwrap();
    claims.publish(&*closed, Message::new(payload(5_000))).await.unwrap_err();
    assert_eq!(files(directory.path()).len(), 1);
    assert_eq!(claims.collect(DAY).await.unwrap(), Collected::default());
    let collected = Collected { deleted: 1, bytes: 5_000, foreign: 0 };
    assert_eq!(claims.collect(Duration::ZERO).await.unwrap(), collected);
    assert_eq!(files(directory.path()).len(), 0);
    assert_eq!(claims.collect(Duration::ZERO).await.unwrap(), Collected::default());
}

#[tokio::test]
async fn a_crash_before_the_publish_leaves_a_blob_and_no_message() {
    let (claims, directory) = in_files();
    let broker = memory().await;
    // As far as a process comes that dies in between.
    drop(claims.check_in(Message::new(payload(5_000)).with_id("lost")).await.unwrap());
    publisher(&broker).await.publish(Message::new("").with_id("next")).await.unwrap();
    assert_eq!(first(&broker).await.id().unwrap().to_string(), "next");
    assert_eq!(files(directory.path()).len(), 1);
    assert_eq!(claims.collect(Duration::ZERO).await.unwrap().deleted, 1);
}

#[tokio::test]
async fn a_publish_given_up_at_any_moment_leaves_at_most_a_blob() {
    let (claims, directory) = in_files();
    let publisher = publisher(&memory().await).await;
    // Dropped after 0, 1, 2, … polls, until it comes through.
    for polls in 0.. {
        let mut publish = Box::pin(claims.publish(&*publisher, Message::new(payload(5_000))));
        let mut done = false;
        for _ in 0..polls {
            match futures::poll!(&mut publish) {
                std::task::Poll::Ready(outcome) => {
                    outcome.unwrap();
                    done = true;
                    break;
                }
                std::task::Poll::Pending => tokio::task::yield_now().await,
            }
            // The blocking thread that writes the file has its time.
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(2))).await.unwrap();
        }
        if done {
            break;
        }
    }
    assert!(!files(directory.path()).is_empty());
    // A thread that was writing for one that was given up may not have ended.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !files(directory.path()).is_empty() {
        assert!(std::time::Instant::now() < deadline, "something else was left behind");
        let collected = claims.collect(Duration::ZERO).await.unwrap();
        assert_eq!(collected.foreign, 0);
    }
}

/// A blob made at that time, by its name and by the file's.
fn blob(directory: &Path, made: SystemTime, modified: SystemTime) {
    let since = made.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let id = uuid::Uuid::new_v7(uuid::Timestamp::from_unix_time(since.as_secs(), since.subsec_nanos(), 0, 0));
    let day = humantime::format_rfc3339_seconds(made).to_string();
    let folder = directory.join("claims").join(&day[..10]);
    std::fs::create_dir_all(&folder).unwrap();
    let file = std::fs::File::create(folder.join(id.to_string())).unwrap();
    file.set_modified(modified).unwrap();
}

#[tokio::test]
async fn only_what_is_old_by_name_and_by_the_stores_clock_goes() {
    let (claims, directory) = in_files();
    let now = SystemTime::now();
    let ago = |days: u32| now - DAY * days;
    for days in [0, 1, 29, 31, 40, 400] {
        blob(directory.path(), ago(days), ago(days));
    }
    // A publisher whose clock is years behind: its message may be on its way.
    blob(directory.path(), ago(3_000), now);
    std::fs::write(directory.path().join("claims/readme.txt"), "").unwrap();
    std::fs::create_dir_all(directory.path().join("claims/others")).unwrap();
    std::fs::write(directory.path().join("claims/others/file"), "").unwrap();
    let old = humantime::format_rfc3339_seconds(ago(400)).to_string();
    std::fs::write(directory.path().join("claims").join(&old[..10]).join("note"), "").unwrap();

    let collected = claims.collect(DAY * 30).await.unwrap();
    assert_eq!((collected.deleted, collected.foreign), (3, 3), "{collected:?}");
    // 0, 1 and 29 days old, the late clock's, and three that are not ours.
    assert_eq!(files(directory.path()).len(), 7);
}

#[tokio::test]
async fn thousands_are_collected_and_a_collection_that_was_ended_is_gone_on_with() {
    let (claims, directory) = in_files();
    let old = SystemTime::now() - DAY * 3;
    for at in 0..2_000 {
        let made = old + Duration::from_millis(at);
        blob(directory.path(), made, made);
    }
    let mut cut = Box::pin(claims.collect(DAY));
    while files(directory.path()).len() == 2_000 {
        assert!(futures::poll!(&mut cut).is_pending());
        tokio::task::yield_now().await;
    }
    drop(cut);
    // Two at once get in each other's way, and do no harm.
    let (one, two) = tokio::join!(claims.collect(DAY), claims.collect(DAY));
    assert!(one.unwrap().deleted + two.unwrap().deleted > 0);
    assert_eq!(files(directory.path()).len(), 0);
}

#[tokio::test]
async fn what_was_collected_is_missed() {
    let claims = in_memory();
    let message = claims.check_in(Message::new(payload(5_000))).await.unwrap();
    let delivery = received(message).await;
    claims.check_out(&delivery).await.unwrap();
    assert_eq!(claims.collect(Duration::ZERO).await.unwrap().deleted, 1);
    let error = claims.check_out(&delivery).await.unwrap_err();
    assert_eq!(error.kind(), anybroker_core::Kind::NotFound);
}
