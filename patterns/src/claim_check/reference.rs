//! The reference that a message carries in place of its payload.

use anybroker_core::{ByteString, Error, Kind, Message, Record, Result};
use object_store::path::Path;

/// CloudEvents' attribute for where the payload is.
const DATAREF: &str = "dataref";
const HASH: &str = "datarefhash";
const SIZE: &str = "datarefsize";

/// Where a payload is, and what it must be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) location: Path,
    /// SHA-256 in hexadecimal.
    pub(super) hash: String,
    pub(super) size: usize,
}

impl Reference {
    /// Puts itself in the place of the payload.
    pub(super) fn write(self, message: &mut Message) {
        message.payload = Default::default();
        // A message taken from elsewhere and given a payload again may still have an old one.
        message.extensions.retain(|(name, _)| ![DATAREF, HASH, SIZE].contains(&&**name));
        let written =
            [(DATAREF, self.location.to_string()), (HASH, self.hash), (SIZE, self.size.to_string())];
        message.extensions.extend(written.map(|(name, value)| (ByteString::from_static(name), value.into())));
    }

    /// The reference of a received message; none if its payload is what it carries.
    pub(super) fn read(record: &Record, prefix: &Path) -> Result<Option<Self>> {
        let find = |wanted| record.extensions().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let Some(location) = find(DATAREF) else { return Ok(None) };
        if !record.payload().is_empty() {
            return Ok(None);
        }
        let text = |name, value: Option<&[u8]>| match value.map(std::str::from_utf8) {
            Some(Ok(text)) => Ok(text.to_owned()),
            _ => Err(unreadable(record, format!("the attribute `{name}` is missing, or is no text"))),
        };
        let location = text(DATAREF, Some(location))?;
        let hash = text(HASH, find(HASH))?.to_ascii_lowercase();
        let size = text(SIZE, find(SIZE))?;
        let size = size
            .parse()
            .map_err(|_| unreadable(record, format!("`{SIZE}` is {size:.40?}, which is no size")))?;
        let location = inside(&location, prefix).ok_or_else(|| {
            let text = format!("`{DATAREF}` is {location:.200?}, which is no blob below `{prefix}`");
            unreadable(record, text).advice("use the store and the prefix of whoever published it")
        })?;
        Ok(Some(Reference { location, hash, size }))
    }
}

/// The location, if it is one below the prefix: a reference must not lead anywhere else.
fn inside(location: &str, prefix: &Path) -> Option<Path> {
    let location = Path::parse(location).ok()?;
    location.prefix_match(prefix)?.next()?;
    Some(location)
}

fn unreadable(record: &Record, text: String) -> Error {
    Error::new(Kind::Decode, "check out", text).on(message(record))
}

/// The message, for error texts.
pub(super) fn message(record: &Record) -> String {
    record.id().map_or_else(|| "a message without id".to_owned(), |id| format!("message `{id}`"))
}
