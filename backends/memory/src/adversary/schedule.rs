//! What an adversary is to do: `17`, or `17:connection-breaks.3,confirmation-lost.0`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anybroker_core::{Error, Kind};

use super::Deed;

/// The deeds of a seed, or some of them.
///
/// ```
/// # use anybroker_memory::Schedule;
/// let all: Schedule = "17".parse()?;
/// assert_eq!((all.seed, all.only), (17, None));
/// let some: Schedule = "17:connection-breaks.3,confirmation-lost.0".parse()?;
/// assert_eq!(some.only.as_ref().map(|only| only.len()), Some(2));
/// assert_eq!(some.to_string(), "17:confirmation-lost.0,connection-breaks.3");
/// # Ok::<(), anybroker_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Decides what happens, and for how long.
    pub seed: u64,
    /// Only these chances are taken; none: those that the seed decides.
    pub only: Option<BTreeSet<Chance>>,
}

/// One opportunity to do a deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Chance {
    /// What may happen.
    pub deed: Deed,
    /// How many opportunities for this deed there were before.
    pub number: u64,
}

impl From<u64> for Schedule {
    fn from(seed: u64) -> Self {
        Schedule { seed, only: None }
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.deed.as_str(), self.number)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seed)?;
        let Some(only) = &self.only else { return Ok(()) };
        let chances: Vec<_> = only.iter().map(Chance::to_string).collect();
        write!(f, ":{}", chances.join(","))
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (seed, only) = match text.split_once(':') {
            Some((seed, only)) => (seed, Some(only)),
            None => (text, None),
        };
        let seed = seed.parse().map_err(|_| unreadable(seed, "a seed, which is a whole number"))?;
        let chances = |list: &str| list.split(',').filter(|it| !it.is_empty()).map(str::parse).collect();
        Ok(Schedule { seed, only: only.map(chances).transpose()? })
    }
}

impl FromStr for Chance {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || unreadable(text, "a deed and its chance, as in connection-breaks.3");
        let (name, number) = text.split_once('.').ok_or_else(bad)?;
        let deed = Deed::ALL.iter().find(|deed| deed.as_str() == name).ok_or_else(bad)?;
        Ok(Chance { deed: *deed, number: number.parse().map_err(|_| bad())? })
    }
}

fn unreadable(text: &str, expected: &str) -> Error {
    Error::new(Kind::InvalidConfiguration, "connect", format!("`{text}` is not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_read_is_named() {
        for (text, expected) in [
            ("x", "`x` is not a seed"),
            ("1:connection-breaks", "`connection-breaks` is not a deed"),
            ("1:rains.3", "`rains.3`"),
        ] {
            let error = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!("3:".parse::<Schedule>().unwrap().only.map(|only| only.len()), Some(0));
    }
}
