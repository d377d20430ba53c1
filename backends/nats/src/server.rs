//! The server's version.

/// Major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32, pub(crate) u32);

impl Version {
    /// Reads `2.10.23` or `2.11.0-preview.1`; what does not read counts as 0.
    pub(crate) fn read(text: &str) -> Self {
        let mut numbers = text.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Version(next(), next(), next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(Version::read("2.10.4") < Version::read("2.10.23"));
        assert_eq!(Version::read("2.11.0-preview.1"), Version(2, 11, 0));
        assert_eq!(Version::read(""), Version(0, 0, 0));
    }
}
