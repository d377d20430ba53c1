//! Headers: ordered, repeatable, binary-safe.

use bytes::Bytes;
use bytestring::ByteString;

use crate::error::{Error, Kind, Result};

/// The longest header name, in bytes: AMQP's short strings hold no more.
pub(crate) const MAX_NAME: usize = 255;

/// Header names that begin so carry message attributes and are refused as user headers.
const RESERVED_PREFIXES: [&str; 5] = ["ce_", "ce-", "cloudEvents_", "cloudEvents:", "anybroker-"];

/// A message's headers, in order; a name may occur more than once.
///
/// ```
/// use anybroker_core::Headers;
/// let mut headers = Headers::new();
/// headers.append("tenant", "acme");
/// headers.append("tenant", &b"\xff\x00"[..]);
/// assert_eq!(headers.get("tenant").unwrap().as_ref(), b"acme");
/// assert_eq!(headers.iter().count(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(ByteString, Bytes)>);

impl Headers {
    /// No headers; does not allocate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header at the end.
    pub fn append(&mut self, name: impl Into<ByteString>, value: impl IntoValue) {
        self.0.push((name.into(), value.into_value()));
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// All headers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Refuses names that some backend could not carry, before anything is sent.
    ///
    /// # Errors
    /// [`Kind::InvalidConfiguration`] names the header and the rule.
    pub fn validate(&self) -> Result<()> {
        self.0.iter().try_for_each(|(name, _)| check_name(name))
    }
}

fn check_name(name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "a header name is empty".to_owned()
    } else if name.len() > MAX_NAME {
        format!("the header name `{name:.20}…` is {} bytes long; at most {MAX_NAME} fit", name.len())
    } else if name.chars().any(char::is_control) {
        format!("the header name {name:?} has a control character")
    } else if RESERVED_PREFIXES.iter().any(|p| name.starts_with(p)) {
        format!("the header name `{name}` is reserved for message attributes")
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::InvalidConfiguration, "publish", reason).advice("rename the header"))
}

/// What a header value can be made from.
pub trait IntoValue {
    /// The value's bytes.
    fn into_value(self) -> Bytes;
}

impl IntoValue for Bytes {
    fn into_value(self) -> Bytes {
        self
    }
}

impl IntoValue for &str {
    fn into_value(self) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }
}

impl IntoValue for String {
    fn into_value(self) -> Bytes {
        self.into()
    }
}

impl IntoValue for &[u8] {
    fn into_value(self) -> Bytes {
        Bytes::copy_from_slice(self)
    }
}

impl IntoValue for Vec<u8> {
    fn into_value(self) -> Bytes {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_names_are_refused_with_the_rule() {
        for (name, rule) in
            [("", "empty"), ("a\nb", "control"), ("ce_id", "reserved"), (&"x".repeat(256), "256 bytes")]
        {
            let mut headers = Headers::new();
            headers.append(name, "v");
            let error = headers.validate().unwrap_err();
            assert!(error.to_string().contains(rule), "{error}");
        }
    }
}
