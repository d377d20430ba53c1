//! The lines, and how often each word is in them.

use std::collections::BTreeMap;
use std::fmt;

/// Words of a line.
const WORDS: u64 = 8;
/// How many different words there are.
const VOCABULARY: u64 = 500;

/// The line of that number, the same every time.
pub(crate) fn line(number: u64) -> String {
    let words: Vec<_> = (0..WORDS).map(|at| word(number * WORDS + at)).collect();
    words.join(" ")
}

/// Some words are frequent, most are rare.
fn word(at: u64) -> String {
    let (one, other) = (random(at) % VOCABULARY, random(!at) % VOCABULARY);
    format!("word-{}", one * other / VOCABULARY)
}

/// SplitMix64: a number that looks random, and is always the same for `seed`.
pub(crate) fn random(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How often each word is in the first lines.
pub(crate) fn counts(lines: u64) -> Counts {
    let mut counts = Counts::default();
    (0..lines).for_each(|number| counts.add_line(&line(number)));
    counts
}

/// How often each word was counted. Its `Display` is that of `sort | uniq -c`, without the blanks in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<String, u64>);

impl Counts {
    pub(crate) fn add(&mut self, word: &str, count: u64) {
        match self.0.get_mut(word) {
            Some(so_far) => *so_far += count,
            None => _ = self.0.insert(word.to_owned(), count),
        }
    }

    pub(crate) fn add_line(&mut self, line: &str) {
        line.split_whitespace().for_each(|word| self.add(word, 1));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(word, count)| (word.as_str(), *count))
    }

    /// How many different words there are.
    pub(crate) fn words(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many words the other has counted differently.
    pub(crate) fn differences(&self, other: &Counts) -> usize {
        let words = self.0.keys().chain(other.0.keys().filter(|word| !self.0.contains_key(*word)));
        words.filter(|word| self.0.get(*word) != other.0.get(*word)).count()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(word, count)| writeln!(f, "{count} {word}"))
    }
}
