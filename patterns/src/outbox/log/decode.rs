//! What PostgreSQL's `pgoutput` says of a transaction: its begin, its messages, its commit (protocol 1, in binary).

use std::time::{Duration, SystemTime};

use anybroker_core::{Error, Kind, Result};

/// From 1970 to 2000, where PostgreSQL's time begins.
const EPOCH: Duration = Duration::from_secs(946_684_800);

/// One entry of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// A transaction that was committed then.
    Begin { at: SystemTime },
    /// What somebody wrote into the log.
    Message { place: i64, prefix: &'a [u8], content: &'a [u8] },
    /// Its end: the log up to here has been seen.
    Commit { end: i64 },
    /// Of no interest here.
    Other,
}

impl<'a> Change<'a> {
    pub(super) fn read(data: &'a [u8]) -> Result<Self> {
        Self::parse(data).ok_or_else(|| {
            Error::new(Kind::Decode, "relay", "an entry of the log is not what `pgoutput` writes")
        })
    }

    fn parse(data: &'a [u8]) -> Option<Self> {
        let (&kind, rest) = data.split_first()?;
        Some(match kind {
            b'B' => Change::Begin { at: time(number(rest.get(8..16)?)?) },
            b'C' => Change::Commit { end: number(rest.get(9..17)?)? },
            b'M' => {
                let place = number(rest.get(1..9)?)?;
                let text = rest.get(9..)?;
                let end = text.iter().position(|&byte| byte == 0)?;
                let content = text.get(end + 1 + 4..)?;
                Change::Message { place, prefix: &text[..end], content }
            }
            _ => Change::Other,
        })
    }
}

fn number(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

fn time(micros: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + EPOCH + Duration::from_micros(micros.max(0) as u64)
}

/// A place in the log as PostgreSQL writes it.
pub(super) fn written(place: i64) -> String {
    format!("{:X}/{:X}", place >> 32, place & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn a_transaction_of_the_server_is_read() {
        let begin = bytes("4200000002303167b800030450dc8dada2000e02a8");
        let Change::Begin { at } = Change::read(&begin).unwrap() else { panic!("no begin") };
        assert_eq!(humantime::format_rfc3339_seconds(at).to_string(), "2026-11-28T08:37:54Z");
        let message = bytes("4d0100000002303167b86162000000000568656c6c6f");
        let expected = Change::Message { place: 0x2_3031_67b8, prefix: b"ab", content: b"hello" };
        assert_eq!(Change::read(&message).unwrap(), expected);
        let commit = bytes("430000000002303167b800000002303167e800030450dc8dada2");
        assert_eq!(Change::read(&commit).unwrap(), Change::Commit { end: 0x2_3031_67e8 });
        assert_eq!(written(0x2_3031_67e8), "2/303167E8");
        for short in [&begin[..12], &message[..12], &commit[..9], b""] {
            assert_eq!(Change::read(short).unwrap_err().kind(), Kind::Decode);
        }
        assert_eq!(Change::read(b"R...").unwrap(), Change::Other);
    }
}
