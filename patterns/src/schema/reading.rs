//! Records of any version, read as the newest.

use anybroker_core::{Attribute, Bytes, Error, Event, Kind, Record, Result};

use super::Upcasters;

impl Upcasters {
    /// The event `E` of a record, whatever version it was written in: for consumers without a worker.
    ///
    /// # Errors
    /// `Decode`: another type; a version that no chain leads from to `E`'s; a step that failed; or it does not decode.
    pub fn event<E: Event>(&self, record: &Record) -> Result<E> {
        match self.newest(record)? {
            Some((version, data)) => record.clone().with_payload(data).with_schema_version(version).event(),
            None => record.event(),
        }
    }

    /// The version and the payload that a record is to have, if they are not its own.
    pub(super) fn newest(&self, record: &Record) -> Result<Option<(u32, Bytes)>> {
        let Some(event_type) = record.event_type().filter(|event_type| self.knows(event_type)) else {
            return Ok(None);
        };
        // An unversioned event is of the first version.
        let version = match record.schema_version() {
            Some(version) => version,
            None => unversioned(record, event_type)?,
        };
        let (newest, data) = self.upcast(event_type, version, record.payload())?;
        Ok((record.schema_version() != Some(newest)).then_some((newest, data)))
    }
}

/// The version of an event that has none, which must not be one that has a version that does not read as a number.
fn unversioned(record: &Record, event_type: &str) -> Result<u32> {
    let name = Attribute::SchemaVersion.name();
    match record.extensions().find(|(found, _)| *found == name) {
        None => Ok(1),
        Some((_, value)) => {
            let value = String::from_utf8_lossy(value);
            let text = format!("{event_type} has the version {value:.40?}, which is no whole number");
            Err(Error::new(Kind::Decode, "upcast", text))
        }
    }
}
