//! Which appends go into one transaction.

use std::collections::{HashMap, HashSet, VecDeque};

use tokio::sync::oneshot;

use super::store::Append;
use super::{AppendError, Appended, Expected, NewEvent};

/// Who waits for an append.
pub(crate) type Reply = oneshot::Sender<Result<Appended, AppendError>>;

/// One caller's append.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) stream: String,
    pub(crate) expected: Expected,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) reply: Reply,
    /// How often it was tried and lost a race.
    pub(crate) attempts: usize,
}

impl Request {
    pub(crate) fn size(&self) -> usize {
        self.events.iter().map(NewEvent::size).sum()
    }
}

/// The appends to one stream, of which each holds if the first one does.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) requests: Vec<Request>,
    events: u64,
}

impl Group {
    pub(crate) fn of(request: Request) -> Self {
        Group { events: request.events.len() as u64, requests: vec![request] }
    }

    pub(crate) fn stream(&self) -> &str {
        self.requests.first().map_or("", |first| &first.stream)
    }

    pub(crate) fn expected(&self) -> Expected {
        self.requests.first().map_or(Expected::Any, |first| first.expected)
    }

    /// Whether what a request expects is so if, and only if, the group's first append was taken.
    fn admits(&self, request: &Request) -> bool {
        match (self.expected().version(), request.expected.version()) {
            (_, None) => true,
            (Some(first), Some(version)) => version == first + self.events,
            (None, Some(_)) => false,
        }
    }

    fn push(&mut self, request: Request) {
        self.events += request.events.len() as u64;
        self.requests.push(request);
    }

    pub(crate) fn append(&self) -> Append<'_> {
        let events = self.requests.iter().flat_map(|request| &request.events).collect();
        Append { stream: self.stream(), expected: self.expected().version(), events }
    }
}

/// Takes what fits into one transaction out of a queue. Appends to a stream stay in their order; what depends on the outcome
/// of one before it waits for the next transaction, and so does what goes to a stream that one under way is busy with.
pub(crate) fn take(
    queue: &mut VecDeque<Request>,
    busy: &HashSet<String>,
    max_events: usize,
    max_bytes: usize,
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    let mut held: HashSet<String> = HashSet::new();
    let mut later = VecDeque::new();
    let (mut events, mut bytes) = (0, 0);
    while let Some(request) = queue.pop_front() {
        if busy.contains(&request.stream) {
            later.push_back(request);
            continue;
        }
        let (more, size) = (request.events.len(), request.size());
        if !groups.is_empty() && (events + more > max_events || bytes + size > max_bytes) {
            queue.push_front(request);
            break;
        }
        let group = at.get(&request.stream).copied();
        let admitted = group.and_then(|at| groups.get(at)).is_none_or(|group| group.admits(&request));
        if held.contains(&request.stream) || !admitted {
            held.insert(request.stream.clone());
            later.push_back(request);
            continue;
        }
        (events, bytes) = (events + more, bytes + size);
        match group.and_then(|at| groups.get_mut(at)) {
            Some(group) => group.push(request),
            None => {
                at.insert(request.stream.clone(), groups.len());
                groups.push(Group::of(request));
            }
        }
    }
    later.append(queue);
    *queue = later;
    // Two programs that append to the same streams lock them in the same order.
    groups.sort_by(|a, b| a.stream().cmp(b.stream()));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(stream: &str, expected: Expected, events: usize) -> Request {
        let events = vec![NewEvent::new("e", 1, "{}"); events];
        Request { stream: stream.into(), expected, events, reply: oneshot::channel().0, attempts: 0 }
    }

    fn shape(groups: &[Group]) -> Vec<(&str, usize)> {
        groups.iter().map(|group| (group.stream(), group.requests.len())).collect()
    }

    #[test]
    fn what_holds_if_the_first_does_goes_with_it() {
        let mut queue = VecDeque::from([
            request("b", Expected::Any, 1),
            request("a", Expected::Version(3), 2),
            request("a", Expected::Version(5), 1),
            request("a", Expected::Any, 1),
            request("a", Expected::Version(5), 1),
            request("a", Expected::Any, 1),
            request("b", Expected::Version(1), 1),
        ]);
        assert_eq!(shape(&take(&mut queue, &HashSet::new(), 100, 1 << 20)), [("a", 3), ("b", 1)]);
        let left: Vec<_> = queue.iter().map(|r| (r.stream.as_str(), r.expected)).collect();
        assert_eq!(left, [("a", Expected::Version(5)), ("a", Expected::Any), ("b", Expected::Version(1))]);
    }

    #[test]
    fn a_busy_stream_waits_and_keeps_its_order() {
        let mut queue = VecDeque::from([
            request("a", Expected::Version(1), 1),
            request("b", Expected::Any, 1),
            request("a", Expected::Version(2), 1),
        ]);
        let busy = HashSet::from(["a".to_owned()]);
        assert_eq!(shape(&take(&mut queue, &busy, 100, 1 << 20)), [("b", 1)]);
        assert!(take(&mut queue, &busy, 100, 1 << 20).is_empty());
        let left: Vec<_> = queue.iter().map(|r| r.expected).collect();
        assert_eq!(left, [Expected::Version(1), Expected::Version(2)]);
    }

    #[test]
    fn a_transaction_is_bounded_but_one_append_always_fits() {
        let mut queue = VecDeque::from([request("a", Expected::Any, 9), request("b", Expected::Any, 1)]);
        assert_eq!(shape(&take(&mut queue, &HashSet::new(), 5, 1 << 20)), [("a", 1)]);
        assert_eq!(shape(&take(&mut queue, &HashSet::new(), 5, 1)), [("b", 1)]);
        assert!(queue.is_empty());
    }
}
