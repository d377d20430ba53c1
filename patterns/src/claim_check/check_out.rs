//! Getting a payload back.

use anybroker_core::{Bytes, Error, Kind, Record, Result};
use object_store::ObjectStoreExt as _;

use super::ClaimCheck;
use super::check_in::hash;
use super::error::within;
use super::reference::{Reference, message};

impl ClaimCheck {
    /// The message's payload, from the store if it is there: a [`Record`], or a delivery, which is one. Checked to be what
    /// was published, byte for byte.
    ///
    /// # Errors
    /// With the names of blob and message: `NotFound` if there is no such blob, `Decode` if it was altered or the reference
    /// cannot be read, `TooLarge` over the maximum; otherwise what the store failed with, such as `Disconnected`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn check_out(&self, record: &Record) -> Result<Bytes> {
        let Some(reference) = Reference::read(record, &self.prefix)? else {
            return Ok(record.payload().clone());
        };
        let fetched = self.fetch(&reference).await;
        fetched.map_err(|error| error.on(format!("blob `{}` of {}", reference.location, message(record))))
    }

    async fn fetch(&self, reference: &Reference) -> Result<Bytes> {
        if reference.size > self.maximum {
            let text = format!("it has {} bytes, and {} are allowed", reference.size, self.maximum);
            return Err(Error::new(Kind::TooLarge, "check out", text)
                .advice("let the claim check have a larger maximum, if the sender is to be trusted"));
        }
        let payload = within(self.timeout, "check out", async {
            let found = self.store.get(&reference.location).await?;
            // Before anything is read: the size bounds the memory that is taken.
            match found.meta.size == reference.size as u64 {
                true => found.bytes().await.map(Ok),
                false => Ok(Err(found.meta.size)),
            }
        });
        let payload = match payload.await {
            Ok(Ok(payload)) => payload,
            Ok(Err(found)) => return Err(altered(format!("it has {found} bytes, not {}", reference.size))),
            Err(error) if error.kind() == Kind::NotFound => {
                return Err(
                    error.advice("it was collected too early, or the receiver looks into another store")
                );
            }
            Err(error) => return Err(error),
        };
        let hash = hash(payload.clone()).await?;
        if hash != reference.hash {
            return Err(altered(format!("its SHA-256 is {hash}, not {:.64}", reference.hash)));
        }
        Ok(payload)
    }
}

fn altered(text: String) -> Error {
    let advice = "it is not what was published: ask whoever writes to the store, or restore it from a backup";
    Error::new(Kind::Decode, "check out", format!("the blob was altered: {text}")).advice(advice)
}
