//! The partitions of a ledger by their numbers: few, and mostly the same one is asked for as before.

use super::partition::Partition;

#[derive(Debug, Default)]
pub(super) struct Partitions {
    /// In the order of their numbers.
    all: Vec<(u32, Partition)>,
    /// The place of the one that was asked for last.
    last: usize,
}

impl Partitions {
    /// Puts one in, in the place of an earlier one of the same number.
    pub(super) fn insert(&mut self, number: u32, partition: Partition) {
        match self.place(number) {
            Ok(at) => self.all[at].1 = partition,
            Err(at) => self.all.insert(at, (number, partition)),
        }
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Partition> {
        let at = self.place(number).ok()?;
        Some(self.all.remove(at).1)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Partition> {
        let at = self.place(number).ok()?;
        self.all.get(at).map(|(_, partition)| partition)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Partition> {
        if self.all.get(self.last).is_none_or(|(last, _)| *last != number) {
            self.last = self.place(number).ok()?;
        }
        self.all.get_mut(self.last).map(|(_, partition)| partition)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Partition)> {
        self.all.iter().map(|(number, partition)| (*number, partition))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Partition> {
        self.all.iter().map(|(_, partition)| partition)
    }

    /// All of them, beginning with that number or the next one there is.
    pub(super) fn in_turn(&mut self, begin: u32) -> impl Iterator<Item = (u32, &mut Partition)> {
        let at = self.all.partition_point(|(number, _)| *number < begin);
        let (before, after) = self.all.split_at_mut(at);
        after.iter_mut().chain(before).map(|(number, partition)| (*number, partition))
    }

    fn place(&self, number: u32) -> Result<usize, usize> {
        self.all.binary_search_by_key(&number, |(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[u32]) -> Partitions {
        let mut partitions = Partitions::default();
        numbers.iter().for_each(|number| partitions.insert(*number, Partition::new(*number)));
        partitions
    }

    #[test]
    fn each_is_found_whichever_was_asked_for_before() {
        let mut partitions = of(&[7, 3, 5]);
        for number in [3, 3, 5, 7, 5, 3, 7] {
            assert_eq!(partitions.get_mut(number).map(|p| p.generation), Some(number));
        }
        assert!(partitions.get_mut(4).is_none());
        assert_eq!(partitions.remove(3).map(|p| p.generation), Some(3));
        assert!(
            partitions.get_mut(3).is_none() && partitions.get(3).is_none() && partitions.remove(3).is_none()
        );
        assert_eq!(partitions.get_mut(7).map(|p| p.generation), Some(7));
        partitions.insert(7, Partition::new(8));
        assert_eq!(partitions.get(7).map(|p| p.generation), Some(8));
    }

    #[test]
    fn turns_go_round() {
        let mut partitions = of(&[7, 3, 5]);
        for (begin, expected) in [(0, [3, 5, 7]), (4, [5, 7, 3]), (5, [5, 7, 3]), (8, [3, 5, 7])] {
            let turn: Vec<_> = partitions.in_turn(begin).map(|(number, _)| number).collect();
            assert_eq!(turn, expected);
        }
    }
}
