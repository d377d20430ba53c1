//! Lies that no property covers, and a case does.

use anybroker_core::{Lease, Requirements, Subscription, Topic, Topology};

use super::super::handed::Handed;
use super::super::liar::Liar;
use super::super::lie::{Honest, Lie};
use super::super::tell::{each, opens};
use super::super::trial::case;
use super::LEASE;

pub(super) fn liars() -> Vec<Liar> {
    vec![
        Liar::new(
            "takes-what-is-too-large",
            case("largest_and_one_byte_more"),
            "takes messages larger than its limit",
            || Box::new(Larger),
        ),
        Liar::new(
            "ignores-requirements",
            case("requirements_are_checked"),
            "opens a consumer whose requirements it does not meet",
            || opens(|subscription: &mut Subscription| subscription.requirements = Requirements::new()),
        ),
        Liar::new(
            "takes-any-topology",
            case("different_topology"),
            "declares a topic again with other partitions, and leaves it as it is",
            || Box::new(Agrees),
        ),
        Liar::new(
            "says-nothing-waits",
            case("backlog_before_the_first_member"),
            "says of every backlog that it is empty",
            || Box::new(Empty),
        )
        .needs(&["backlog_before_the_first_member"]),
        Liar::new(
            "drops-what-came-before-a-group",
            case("publish_before_any_group"),
            "keeps nothing for a group that comes later",
            || {
                each(|group, mut handed: Handed| {
                    if group.name != "late" {
                        return Some(handed);
                    }
                    handed.forget();
                    None
                })
            },
        ),
        Liar::new(
            "lease-without-an-end",
            case("lease_lapses"),
            "promises a lease of ten seconds, and takes nothing back",
            || Box::new(Honest),
        )
        .promises(|promised| {
            promised.lease.value = Lease::Fixed;
            promised.limits.lease = Some(LEASE);
        }),
    ]
}

struct Larger;

impl Lie for Larger {
    fn most(&self, promised: usize) -> usize {
        promised * 2
    }
}

struct Agrees;

impl Lie for Agrees {
    fn declare(&self, topology: &Topology) -> Topology {
        Topology { partitions: None, ..topology.clone() }
    }
}

struct Empty;

impl Lie for Empty {
    fn backlog(&self, _topic: &Topic, _honest: u64) -> u64 {
        0
    }
}
