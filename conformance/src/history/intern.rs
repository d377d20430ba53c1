//! Strings kept once, each known by a number from zero upwards.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

const EMPTY: u32 = u32::MAX;

/// A set of strings in one allocation with an open-addressed table of four bytes an entry.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    text: String,
    ends: Vec<u32>,
    table: Vec<u32>,
    hasher: RandomState,
}

/// The strings together take more than four gibibytes.
#[derive(Debug)]
pub(crate) struct Full;

impl Interner {
    /// The number of `text` and whether it is new.
    pub(crate) fn intern(&mut self, text: &str) -> Result<(usize, bool), Full> {
        if self.ends.len() * 4 >= self.table.len() * 3 {
            self.grow();
        }
        let slot = self.slot(text);
        if self.table[slot] != EMPTY {
            return Ok((self.table[slot] as usize, false));
        }
        let end = u32::try_from(self.text.len() + text.len()).map_err(|_| Full)?;
        let number = self.ends.len();
        self.text.push_str(text);
        self.ends.push(end);
        self.table[slot] = number as u32;
        Ok((number, true))
    }

    /// The number of `text`, if it was ever interned.
    pub(crate) fn get(&self, text: &str) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let number = self.table[self.slot(text)];
        (number != EMPTY).then_some(number as usize)
    }

    /// The string with this number.
    pub(crate) fn text(&self, number: usize) -> &str {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.text[start as usize..self.ends[number] as usize]
    }

    /// Where `text` is in the table, or the free slot where it would be.
    fn slot(&self, text: &str) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = self.hasher.hash_one(text) as usize & mask;
        while self.table[slot] != EMPTY && self.text(self.table[slot] as usize) != text {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.table = vec![EMPTY; (self.table.len() * 2).max(16)];
        for number in 0..self.ends.len() {
            let slot = self.slot(self.text(number));
            self.table[slot] = number as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_numbers() {
        let mut interner = Interner::default();
        assert_eq!(interner.get("a"), None);
        for i in 0..10_000 {
            assert_eq!(interner.intern(&format!("name {i}")).unwrap(), (i, true));
        }
        assert_eq!(interner.intern("").unwrap(), (10_000, true));
        for i in 0..10_000 {
            let name = format!("name {i}");
            assert_eq!(interner.intern(&name).unwrap(), (i, false));
            assert_eq!((interner.get(&name), interner.text(i)), (Some(i), name.as_str()));
        }
        assert_eq!(interner.text(10_000), "");
    }
}
