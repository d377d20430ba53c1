//! Order as handlers see it. P7 leaves a message out whose first delivery died unseen; here every one was seen, as it is
//! recorded before its handler begins. So nothing is left out.

use std::collections::BTreeMap;

use anybroker_core::{Guarantees, Kept, Level as _, Scope};

use super::super::{Failure, failed};
use crate::history::{At, GroupId, History, MessageId, Name, Outcome, read};
use crate::recorder::Recorder;

/// Whether a backend keeps the order of each key, whatever happens to members.
pub(super) fn is_kept(guarantees: &Guarantees) -> bool {
    let Guarantees { order_after_redelivery, order_across_consumers, order_after_member_death, .. } =
        guarantees;
    let kept = [order_after_redelivery, order_across_consumers, order_after_member_death];
    !matches!(guarantees.ordering.value, Scope::None | Scope::Publisher)
        && kept.iter().all(|row| row.value.satisfies(Kept::Yes))
}

/// A group, a key and a publisher.
type Line = (GroupId, Name, Name);

/// Whether of each publisher's messages of a key handlers began with the earlier one first; says of how many.
///
/// # Errors
/// Two messages that a handler began with in the wrong order.
pub(super) fn check(recorder: &Recorder) -> Result<usize, Failure> {
    let history = read(std::io::BufReader::new(&recorder.history()[..]))?;
    let mut lines: BTreeMap<Line, Vec<(At, At, MessageId)>> = BTreeMap::new();
    history.for_each_pair(|id, group, deliveries| {
        let message = history.message(id);
        let begun = history.delivery(deliveries[0]);
        let owed = message.topic == history.group(group).topic && message.outcome == Some(Outcome::Ok);
        if let (true, false, Some(key), Some(publish)) =
            (owed, begun.dead_letter, message.key, message.publish)
        {
            lines.entry((group, key, message.publisher)).or_default().push((publish, begun.at, id));
        }
    });
    let mut messages = 0;
    for line in lines.values_mut() {
        line.sort_unstable();
        messages += line.len();
        if let Some(pair) = line.windows(2).find(|pair| pair[0].1 > pair[1].1) {
            return failed(overtaken(&history, pair[0].2, pair[1].2));
        }
    }
    Ok(messages)
}

fn overtaken(history: &History, first: MessageId, second: MessageId) -> String {
    let (first, second) = (history.message_id(first), history.message_id(second));
    format!("a handler began with {second} before any had begun with {first}, which was published before it")
}
