//! Queues that share their memory: a queue is two numbers, so that one for each key costs next to nothing.

/// What lies in queues. Its memory grows with what has lain in all of them at once, and is used again.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    places: Vec<Place<T>>,
    free: Option<usize>,
}

#[derive(Debug)]
struct Place<T> {
    value: Option<T>,
    /// Of the same queue, or of those that are free.
    next: Option<usize>,
}

/// The order of some of what lies on a shelf, always the same one.
#[derive(Debug, Default)]
pub(super) struct Queue {
    first: Option<usize>,
    last: Option<usize>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Shelf { places: Vec::new(), free: None }
    }
}

impl<T> Shelf<T> {
    pub(super) fn push_back(&mut self, queue: &mut Queue, value: T) {
        let at = self.put(value, None);
        match queue.last.replace(at) {
            Some(last) => self.places[last].next = Some(at),
            None => queue.first = Some(at),
        }
    }

    pub(super) fn push_front(&mut self, queue: &mut Queue, value: T) {
        let at = self.put(value, queue.first);
        queue.first = Some(at);
        queue.last.get_or_insert(at);
    }

    pub(super) fn pop_front(&mut self, queue: &mut Queue) -> Option<T> {
        let at = queue.first?;
        let place = &mut self.places[at];
        queue.first = std::mem::replace(&mut place.next, self.free);
        self.free = Some(at);
        if queue.first.is_none() {
            queue.last = None;
        }
        place.value.take()
    }

    fn put(&mut self, value: T, next: Option<usize>) -> usize {
        match self.free {
            Some(at) => {
                let place = &mut self.places[at];
                self.free = std::mem::replace(&mut place.next, next);
                place.value = Some(value);
                at
            }
            None => {
                self.places.push(Place { value: Some(value), next });
                self.places.len() - 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(shelf: &mut Shelf<u32>, queue: &mut Queue) -> Vec<u32> {
        std::iter::from_fn(|| shelf.pop_front(queue)).collect()
    }

    #[test]
    fn queues_keep_their_order_beside_each_other_and_their_memory_is_used_again() {
        let (mut shelf, mut odd, mut even) = (Shelf::default(), Queue::default(), Queue::default());
        for _ in 0..3 {
            (1..=4).for_each(|n| shelf.push_back(if n % 2 == 0 { &mut even } else { &mut odd }, n));
            assert_eq!((shelf.pop_front(&mut odd), odd.is_empty()), (Some(1), false));
            shelf.push_front(&mut odd, 1);
            shelf.push_front(&mut even, 0);
            assert_eq!((all(&mut shelf, &mut odd), odd.is_empty()), (vec![1, 3], true));
            shelf.push_front(&mut odd, 5);
            shelf.push_back(&mut odd, 7);
            assert_eq!(all(&mut shelf, &mut even), [0, 2, 4]);
            assert_eq!(all(&mut shelf, &mut odd), [5, 7]);
        }
        assert_eq!(shelf.places.len(), 5);
    }
}
