//! Deleting what is older than any message that could name it.

use std::time::{Duration, SystemTime};

use anybroker_core::{Error, Kind, Result};
use futures::stream::{BoxStream, Fuse, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error as Stored, ObjectMeta};

use super::error::{typed, within};
use super::{ClaimCheck, name};

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many blobs were deleted.
    pub deleted: u64,
    /// How many bytes those had.
    pub bytes: u64,
    /// How many things in the folders are none of ours; they were left alone.
    pub foreign: u64,
}

impl ClaimCheck {
    /// Deletes the blobs that are older than `age`, by their name and by the store's clock, oldest day first. What is deleted
    /// is gone for good: `age` must be longer than any message may take to its last receiver; see the
    /// [module](super#retention).
    ///
    /// It needs a fixed amount of memory, however many there are. It can be ended at any moment, and goes on with the next
    /// call; several at once do no harm. Time is bounded for each answer of the store, not in all.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// # use anybroker_patterns::claim_check::{ClaimCheck, object_store::memory::InMemory};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let claims = ClaimCheck::new(Arc::new(InMemory::new()));
    /// let collected = claims.collect(Duration::from_secs(30 * 24 * 60 * 60)).await?;
    /// println!("{} payloads, {} bytes", collected.deleted, collected.bytes);
    /// # Ok::<(), anybroker_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// What the store failed with; what was deleted until then is deleted.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn collect(&self, age: Duration) -> Result<Collected> {
        let before = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut collected = Collected::default();
        let listed =
            within(self.timeout, "collect", self.store.list_with_delimiter(Some(&self.prefix))).await?;
        collected.foreign += listed.objects.len() as u64;
        let (last, mut folders) = (name::day(before), listed.common_prefixes);
        folders.sort_unstable();
        for folder in folders {
            let name = folder.filename().unwrap_or_default();
            if !name::is_day(name) {
                collected.foreign += 1;
            } else if *name <= *last {
                self.collect_day(&folder, before, &mut collected).await?;
            }
        }
        Ok(collected)
    }

    async fn collect_day(&self, day: &Path, before: SystemTime, collected: &mut Collected) -> Result<()> {
        // Fused: a listing that has ended is asked once more, and one of several pages panics at that.
        let mut listed = self.store.list(Some(day)).fuse();
        while let Some(batch) = within(self.timeout, "collect", next(&mut listed)).await? {
            let mut old = Vec::with_capacity(batch.len());
            for blob in batch {
                match name::time(&blob.location) {
                    None => collected.foreign += 1,
                    Some(made) if made < before && SystemTime::from(blob.last_modified) < before => {
                        old.push(blob)
                    }
                    Some(_) => {}
                }
            }
            self.delete(old, collected).await?;
        }
        Ok(())
    }

    async fn delete(&self, blobs: Vec<ObjectMeta>, collected: &mut Collected) -> Result<()> {
        let locations: Vec<_> = blobs.iter().map(|blob| Ok(blob.location.clone())).collect();
        let mut deleted = self.store.delete_stream(futures::stream::iter(locations).boxed());
        for blob in &blobs {
            match tokio::time::timeout(self.timeout, deleted.next()).await {
                Ok(Some(Ok(_))) => {
                    collected.deleted += 1;
                    collected.bytes += blob.size;
                }
                // Somebody else collects too.
                Ok(Some(Err(Stored::NotFound { .. }))) => {}
                Ok(Some(Err(error))) => {
                    return Err(typed("collect", error).on(format!("blob `{}`", blob.location)));
                }
                Ok(None) => break,
                Err(_) => {
                    let text = format!("the object store did not answer within {:?}", self.timeout);
                    return Err(
                        Error::new(Kind::TimedOut, "collect", text).on(format!("blob `{}`", blob.location))
                    );
                }
            }
        }
        Ok(())
    }
}

/// How many are deleted together.
const BATCH: usize = 500;

/// The next blobs of a listing; none at its end.
async fn next(
    listed: &mut Fuse<BoxStream<'static, object_store::Result<ObjectMeta>>>,
) -> object_store::Result<Option<Vec<ObjectMeta>>> {
    let batch: Vec<_> = listed.by_ref().take(BATCH).try_collect().await?;
    Ok((!batch.is_empty()).then_some(batch))
}
