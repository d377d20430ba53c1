//! Finds the deliveries of a message, and the events that may cause another.

use super::ids::{At, DeliveryId, GroupId, MessageId, SessionId};
use super::model::{Delivery, History};

impl History {
    /// Orders the deliveries of published messages by message, group, dead letter or not, and time.
    pub(super) fn index(&mut self) {
        let mut ids: Vec<_> = self.all_deliveries().map(|(id, _)| id).collect();
        ids.sort_unstable_by_key(|id| {
            let delivery = self.delivery(*id);
            (delivery.message, self.group_of(delivery), delivery.dead_letter, *id)
        });
        ids.shrink_to_fit();
        self.by_message = ids;
    }

    /// All deliveries of a message, group by group.
    pub(crate) fn deliveries_of(&self, message: MessageId) -> &[DeliveryId] {
        let start = self.by_message.partition_point(|id| self.delivery(*id).message < message);
        let rest = &self.by_message[start..];
        &rest[..rest.partition_point(|id| self.delivery(*id).message == message)]
    }

    /// The deliveries of a message to a group, first to last, without those from the dead letter topic.
    pub(crate) fn deliveries_to(&self, message: MessageId, group: GroupId) -> &[DeliveryId] {
        let key = |id: &DeliveryId| {
            let delivery = self.delivery(*id);
            (delivery.message, self.group_of(delivery), delivery.dead_letter)
        };
        let start = self.by_message.partition_point(|id| key(id) < (message, group, false));
        let rest = &self.by_message[start..];
        &rest[..rest.partition_point(|id| key(id) == (message, group, false))]
    }

    /// The delivery of the same broker record to the same group before this one.
    pub(crate) fn delivered_before(&self, id: DeliveryId) -> Option<&Delivery> {
        let key = |id: DeliveryId| {
            let delivery = self.delivery(id);
            (delivery.message, self.group_of(delivery), delivery.dead_letter)
        };
        let place = self.by_message.partition_point(|other| (key(*other), *other) < (key(id), id));
        let same = |other: &&DeliveryId| key(**other) == key(id);
        let before = self.by_message[..place].iter().rev().take_while(same);
        let mut before = before.map(|other| self.delivery(*other));
        before.find(|other| other.position() == self.delivery(id).position())
    }

    /// The deliveries of a message from the dead letter topic.
    pub(crate) fn dead_letters(&self, message: MessageId) -> impl Iterator<Item = DeliveryId> {
        self.deliveries_of(message).iter().copied().filter(|id| self.delivery(*id).dead_letter)
    }

    /// Calls `visit` with the deliveries of each message to each group, first to last, without those from the dead
    /// letter topic.
    pub(crate) fn for_each_pair(&self, mut visit: impl FnMut(MessageId, GroupId, &[DeliveryId])) {
        let key = |id: &DeliveryId| {
            let delivery = self.delivery(*id);
            (delivery.message, self.group_of(delivery), delivery.dead_letter)
        };
        for run in self.by_message.chunk_by(|one, other| key(one) == key(other)) {
            let (message, group, dead_letter) = key(&run[0]);
            if !dead_letter {
                visit(message, group, run);
            }
        }
    }

    /// Calls `visit` with the deliveries of each broker record to each group: those of one message at one position, or
    /// of one message where there are no positions.
    pub(crate) fn for_each_record(&self, mut visit: impl FnMut(MessageId, GroupId, &[DeliveryId])) {
        let position = |id: &DeliveryId| self.delivery(*id).position();
        self.for_each_pair(|message, group, run| {
            if run.iter().all(|id| position(id) == position(&run[0])) {
                return visit(message, group, run);
            }
            let mut sorted = run.to_vec();
            sorted.sort_by_key(|id| (position(id), *id));
            for record in sorted.chunk_by(|one, other| position(one) == position(other)) {
                visit(message, group, record);
            }
        });
    }

    /// Whether a session of `group` ended, was assigned or revoked partitions, or began at the earliest, between two
    /// events.
    pub(crate) fn disturbed_between(&self, group: GroupId, after: At, before: At) -> bool {
        let next = self.disturbances.partition_point(|each| *each <= (group, after));
        self.disturbances.get(next).is_some_and(|each| *each < (group, before))
    }

    /// The last time before an event at which it was.
    pub(crate) fn disturbed_before(&self, group: GroupId, before: At) -> Option<At> {
        let next = self.disturbances.partition_point(|each| *each < (group, before));
        let last = self.disturbances.get(next.checked_sub(1)?).filter(|each| each.0 == group);
        last.map(|each| each.1)
    }

    /// Whether partitions were assigned to or revoked from `session` between two events.
    pub(crate) fn rebalanced_between(&self, session: SessionId, after: At, before: At) -> bool {
        let next = self.rebalances.partition_point(|each| *each <= (session, after));
        self.rebalances.get(next).is_some_and(|each| *each < (session, before))
    }

    /// Whether there was a fault, of whatever kind, between two events.
    pub(crate) fn fault_between(&self, after: At, before: At) -> bool {
        let next = self.faults.partition_point(|fault| fault.at <= after);
        self.faults.get(next).is_some_and(|fault| fault.at < before)
    }

    /// When `partition` was first revoked from `session` after an event.
    pub(crate) fn revoked_after(&self, session: SessionId, partition: u32, after: At) -> Option<At> {
        let next = self.revocations.partition_point(|each| *each <= (session, partition, after));
        let revocation = self.revocations.get(next).filter(|each| (each.0, each.1) == (session, partition));
        revocation.map(|each| each.2)
    }
}
