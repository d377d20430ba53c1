//! Confluent's framing: a zero, the id of the schema in four bytes with the highest first, and the payload.

use anybroker_core::{Bytes, Error, Kind};
use bytes::{BufMut, BytesMut};

const MAGIC: u8 = 0;
const HEAD: usize = 5;

/// Why a payload is not framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It ends before the id does.
    #[error("the payload has {length} bytes, and a framed one has 5 at least: it was cut, or is empty")]
    Truncated {
        /// Its bytes.
        length: usize,
    },
    /// It begins otherwise.
    #[error(
        "the payload begins with the byte {found:#04x} and not with 0: its publisher does not use a schema registry"
    )]
    NoMagic {
        /// The first byte.
        found: u8,
    },
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        Error::new(Kind::Decode, "unframe", error.to_string())
    }
}

/// Puts the id of its schema before a payload.
///
/// ```
/// use anybroker_patterns::schema::{frame, unframe};
/// let framed = frame(258, br#"{"cents":5}"#);
/// assert_eq!(framed[..5], [0, 0, 0, 1, 2]);
/// assert_eq!(unframe(&framed)?, (258, br#"{"cents":5}"#[..].into()));
/// # Ok::<(), anybroker_patterns::schema::FrameError>(())
/// ```
pub fn frame(id: u32, payload: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(HEAD + payload.len());
    framed.put_u8(MAGIC);
    framed.put_u32(id);
    framed.put_slice(payload);
    framed.freeze()
}

/// The id of the schema, and the payload, which is not copied.
///
/// # Errors
/// What is not framed.
pub fn unframe(framed: &Bytes) -> Result<(u32, Bytes), FrameError> {
    match framed[..] {
        [found, ..] if found != MAGIC => Err(FrameError::NoMagic { found }),
        [_, a, b, c, d, ..] => Ok((u32::from_be_bytes([a, b, c, d]), framed.slice(HEAD..))),
        _ => Err(FrameError::Truncated { length: framed.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_framed_is_said() {
        assert_eq!(unframe(&Bytes::new()), Err(FrameError::Truncated { length: 0 }));
        assert_eq!(unframe(&Bytes::from_static(&[0, 0, 0, 1])), Err(FrameError::Truncated { length: 4 }));
        assert_eq!(unframe(&Bytes::from_static(b"{}")), Err(FrameError::NoMagic { found: b'{' }));
        assert_eq!(unframe(&Bytes::from_static(&[0, 255, 255, 255, 255])), Ok((u32::MAX, Bytes::new())));
        let error = Error::from(FrameError::NoMagic { found: b'{' });
        assert_eq!(error.kind(), Kind::Decode);
        assert!(error.to_string().contains("0x7b"), "{error}");
    }
}
