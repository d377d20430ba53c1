//! Leaving a payload in the store.

use anybroker_core::{Bytes, Error, Kind, Message, PublishError, Result};
use object_store::ObjectStoreExt as _;
use sha2::{Digest as _, Sha256};

use super::ClaimCheck;
use super::error::within;
use super::name;
use super::reference::Reference;

impl ClaimCheck {
    /// Uploads the payload if the message is over the threshold, and gives the message that carries the reference;
    /// otherwise gives the message as it is. Publish what it gives; a blob whose message is never published is
    /// [collected](Self::collect).
    ///
    /// # Errors
    /// `TooLarge` over the maximum; `InvalidConfiguration` for a message that no backend could carry; what the store failed
    /// with: `Disconnected`, `TimedOut`, `PermissionDenied`. Nothing is published, and the message comes back.
    ///
    /// # Cancel safety
    /// A cancelled call may have uploaded a blob that no message names.
    pub async fn check_in(&self, message: Message) -> Result<Message, PublishError> {
        if message.size() <= self.threshold || message.payload.is_empty() {
            return Ok(message);
        }
        match self.upload(&message).await {
            Ok(reference) => {
                let mut message = message;
                reference.write(&mut message);
                Ok(message)
            }
            Err(error) => {
                let error = error.on(format!("message `{}`", message.id));
                // Whatever became of the upload, the message was not published.
                Err(PublishError::new(error.with_fate(anybroker_core::Fate::NotApplied), message))
            }
        }
    }

    async fn upload(&self, message: &Message) -> Result<Reference> {
        let (payload, size) = (message.payload.clone(), message.payload.len());
        if size > self.maximum {
            let text = format!("its payload has {size} bytes, and {} are allowed", self.maximum);
            return Err(Error::new(Kind::TooLarge, "check in", text)
                .advice("let the claim check have a larger maximum, here and at the receivers"));
        }
        message.validate()?;
        let hash = hash(payload.clone()).await?;
        let location = name::new(&self.prefix);
        within(self.timeout, "check in", self.store.put(&location, payload.into())).await?;
        Ok(Reference { location, hash, size })
    }
}

/// SHA-256 in hexadecimal; of a large payload that takes too long for a task that others wait for.
pub(super) async fn hash(payload: Bytes) -> Result<String> {
    let hashed = tokio::task::spawn_blocking(move || {
        Sha256::digest(&payload).iter().map(|byte| format!("{byte:02x}")).collect()
    });
    hashed
        .await
        .map_err(|error| Error::new(Kind::Closed, "hash", "the runtime is shutting down").with_source(error))
}
