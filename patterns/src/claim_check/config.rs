//! Where payloads go, and when.

use std::path::Path as File;
use std::sync::Arc;
use std::time::Duration;

use anybroker_core::{Error, Guarantees, Kind, Result};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use super::error::typed;

/// Sends large payloads through an object store. Cloning shares the store.
///
/// Everybody who publishes to or receives from a topic must use the same store and [prefix](Self::prefix).
#[derive(Clone, Debug)]
pub struct ClaimCheck {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    pub(super) threshold: usize,
    pub(super) maximum: usize,
    pub(super) timeout: Duration,
}

impl ClaimCheck {
    /// Sends payloads of messages over 256 KiB through `store`, below `claims`; none over 64 MiB; 30 s for each.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use anybroker_patterns::claim_check::{ClaimCheck, object_store::memory::InMemory};
    /// let claims = ClaimCheck::new(Arc::new(InMemory::new())).threshold(64 << 10);
    /// ```
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        ClaimCheck {
            store,
            prefix: Path::from("claims"),
            threshold: 256 << 10,
            maximum: 64 << 20,
            timeout: Duration::from_secs(30),
        }
    }

    /// Keeps payloads in files below `directory`, which must exist. A confirmed one has been written through to the disk.
    ///
    /// # Errors
    /// `NotFound` if the directory does not exist.
    pub fn files(directory: impl AsRef<File>) -> Result<Self> {
        let directory = directory.as_ref();
        let files = LocalFileSystem::new_with_prefix(directory)
            .map_err(|error| typed("open", error).on(format!("directory {}", directory.display())))?;
        Ok(Self::new(Arc::new(files.with_fsync(true).with_automatic_cleanup(true))))
    }

    /// Keeps payloads in a bucket of Amazon S3, or of what speaks its protocol. Region, endpoint and credentials come from
    /// the usual variables (`AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, …) or the machine's role; for anything
    /// else, build an [`AmazonS3Builder`](object_store::aws::AmazonS3Builder) and use [`new`](Self::new).
    ///
    /// # Errors
    /// `InvalidConfiguration`.
    #[cfg(feature = "s3")]
    pub fn s3(bucket: &str) -> Result<Self> {
        let store = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket).build();
        Ok(Self::new(Arc::new(store.map_err(|error| typed("open", error).on(format!("bucket `{bucket}`")))?)))
    }

    /// The largest message that goes as it is, in bytes as [`Message::size`](anybroker_core::Message::size) counts them.
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// The largest payload, in bytes: more is neither uploaded nor fetched, whatever a reference says.
    pub fn maximum(mut self, bytes: usize) -> Self {
        self.maximum = bytes;
        self
    }

    /// The folder of the payloads in the store. Nothing else is to be in it, and no reference leads out of it.
    ///
    /// # Errors
    /// `InvalidConfiguration` for what is no path, or an empty one.
    pub fn prefix(mut self, prefix: &str) -> Result<Self> {
        self.prefix = Path::parse(prefix).map_err(|error| typed("open", error.into()))?;
        if self.prefix.is_root() {
            let text = "the payloads need a folder of their own in the store";
            return Err(Error::new(Kind::InvalidConfiguration, "open", text).advice("for instance `claims`"));
        }
        Ok(self)
    }

    /// How long one upload or one fetch may take.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Refuses a threshold over what the broker carries: messages between the two could go neither way.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use anybroker_patterns::claim_check::{ClaimCheck, object_store::memory::InMemory};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let claims = ClaimCheck::new(Arc::new(InMemory::new()));
    /// let broker = anybroker_memory::connect(&"memory://limits".parse()?).await?;
    /// claims.verify(&broker.guarantees(None, None).await?)?;
    /// # Ok::<(), anybroker_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InvalidConfiguration`, with both sizes.
    pub fn verify(&self, given: &Guarantees) -> Result<()> {
        match given.limits.message_bytes {
            Some(most) if most < self.threshold => {
                let text = format!(
                    "messages up to {} bytes are to go as they are, and {} carries at most {most}",
                    self.threshold, given.backend
                );
                let error = Error::new(Kind::InvalidConfiguration, "open", text);
                Err(error.advice(format!("set the threshold to {most} bytes or less")))
            }
            _ => Ok(()),
        }
    }
}
